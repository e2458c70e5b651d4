"""The command `uploadstream`, for which one address of this machine is the internet, and nothing else is."""

from functools import partial
from ipaddress import ip_address

from uploadstream import app
from uploadstream.adapters.web import HttpWeb
from uploadstream.cli import main

NEAR = ip_address("127.0.0.2")

if __name__ == "__main__":
    app.HttpWeb = partial(HttpWeb, may_ask=NEAR.__eq__)  # type: ignore[assignment, attr-defined]
    main()
