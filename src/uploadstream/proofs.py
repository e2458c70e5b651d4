"""Whose word counts for who somebody is: the proofs that the settings ask for, made of real parts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import structlog

from uploadstream.adapters.jwks import KeyFile, KeySource, KeyUrl, OneKey
from uploadstream.adapters.jwt import JwtTokens
from uploadstream.adapters.jwt_keys import BadKey, read_key
from uploadstream.adapters.signing import Signatures, new_secret
from uploadstream.engine.identities import CertificateProof, KeyProof, Proof
from uploadstream.engine.passes import Passes
from uploadstream.ports import Clock
from uploadstream.ports.keys import KeyStore
from uploadstream.settings import Settings, variable_of

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Proofs:
    """What is asked, in this order, who sends a request; among them the passes that we give ourselves."""

    all: Sequence[Proof]
    passes: Passes


async def proofs_of(settings: Settings, store: KeyStore, clock: Clock, opened: AsyncExitStack) -> Proofs:
    """The proofs that these settings ask for. BadKey, CatalogUnavailable."""
    keys = KeyProof(store, clock)
    opened.push_async_callback(keys.close)
    passes = Passes(Signatures(await store.secret(new_secret()), clock), keys, clock)
    found: list[Proof] = [keys, passes]
    if settings.takes_jwt:
        rules = {"issuer": settings.jwt_issuer, "audience": settings.jwt_audience}
        source = key_source(settings)
        if isinstance(source, KeyUrl):
            opened.push_async_callback(source.close)
        found.append(JwtTokens(source, clock, **rules, user_claim=settings.jwt_user_claim))
    if settings.tls_client_ca:
        found.append(CertificateProof())
    return Proofs(found, passes)


def key_source(settings: Settings) -> KeySource:
    """Where the keys of bearer tokens are. BadKey."""
    if settings.jwt_key:
        try:
            return OneKey(read_key(settings.jwt_key.get_secret_value()))
        except BadKey as error:
            raise BadKey(f"{variable_of('jwt_key')} {error}") from None
    if "://" in settings.jwt_jwks:
        return KeyUrl(settings.jwt_jwks, warn=_warn)
    return KeyFile(Path(settings.jwt_jwks), warn=_warn)


def _warn(reason: str) -> None:
    log.warning("keys of tokens not read", reason=reason)
