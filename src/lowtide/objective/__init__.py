"""What training minimises beyond the loss: energy and carbon, with gradients where they exist."""
