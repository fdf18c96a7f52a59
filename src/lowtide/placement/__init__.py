"""Where a deployed model runs: shares of demand by site, for the least emissions."""
