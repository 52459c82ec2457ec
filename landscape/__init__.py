"""Loss landscapes of recurrent cells."""
