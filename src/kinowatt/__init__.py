"""kinowatt: an open Sora that you host, train and audit; every clip carries its energy and carbon."""

__version__ = "0.1.0"
