"""How things move and are kept. Knows no domain word."""
