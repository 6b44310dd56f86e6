"""Ways of assigning credit, and the loop that applies them."""
