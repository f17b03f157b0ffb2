"""Real name servers on loopback, and the means to ask them: what every test beside the unit tests
stands on."""
