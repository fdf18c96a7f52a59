"""`lowtide search`: one study whose trials are compression chains, until its grams are spent."""
