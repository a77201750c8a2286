"""`gateway doctor`: examines an installation and its surroundings, and changes nothing."""
