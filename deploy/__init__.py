"""How the service is run and watched. Nothing imports this package; it is no part of the installed one."""
