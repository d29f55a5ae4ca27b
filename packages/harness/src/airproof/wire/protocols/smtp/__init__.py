"""SMTP."""

from airproof.wire.protocols.smtp.session import SmtpSession

__all__ = ["SmtpSession"]
