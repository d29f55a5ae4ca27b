"""notification-service, declared."""

from __future__ import annotations

from pyairtable_reference.kit.envelope import commands_topic
from pyairtable_reference.kit.runtime import Parts, Runtime, ServiceDefinition
from pyairtable_reference.services.notification_service.adapters.smtp import SmtpServer
from pyairtable_reference.services.notification_service.application.welcome import SERVICE, Mailer


def assemble(runtime: Runtime) -> Parts:
    """Puts the service together."""
    settings = runtime.settings
    server = SmtpServer(settings.smtp_host, settings.smtp_port, settings.delivery_timeout_s)
    mailer = Mailer(runtime.units_of_work, server, settings.instance, 3 * settings.delivery_timeout_s)
    return Parts(mailer, {commands_topic(SERVICE): mailer.participant.handle}, {"mailer": mailer.run})


NOTIFICATION_SERVICE = ServiceDefinition(SERVICE, (), assemble)
