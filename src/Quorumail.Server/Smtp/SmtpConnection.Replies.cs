using System.Net;
using Quorumail.Core.Smtp;
using Quorumail.Server.Http;
using Quorumail.Server.Logging;

namespace Quorumail.Server.Smtp;

/// <content>What is answered, and what the log and the metrics tell of it.</content>
internal sealed partial class SmtpConnection
{
    private void WriteReply(ReadOnlySpan<byte> octets)
    {
        if (octets.IsEmpty)
        {
            return;
        }

        _wire.Write(octets);
        if (octets[0] >= (byte)'4')
        {
            NoteRefusal(octets);
        }
        else if (octets.StartsWith("235"u8))
        {
            Metrics.AuthSuccesses.Inc();
            Metrics.AuthAttemptsSucceeded.Inc();
            MailLog.Authenticated(_services.MailLogger, _clientText, Session.Helo, Session.AttemptedUser);
        }
    }

    /// <summary>Counts and logs a reply that says no.</summary>
    private void NoteRefusal(ReadOnlySpan<byte> reply)
    {
        var session = Session;
        Metrics.Errors.Inc();

        // A command out of sequence offers nothing that could be refused.
        if (!reply.StartsWith("503"u8))
        {
            switch (session.Subject)
            {
                case ReplySubject.Message:
                    Metrics.MessagesRejected.Inc();
                    break;
                case ReplySubject.Recipient:
                    Metrics.RecipientsRejected.Inc();
                    break;
            }
        }

        MailLog.Rejected(
            _services.MailLogger,
            session.SubjectMessage,
            session.SubjectReversePath,
            session.SubjectForwardPath,
            _clientText,
            session.Helo.Length > 0 ? session.Helo : null,
            session.User ?? session.AttemptedUser,
            Printable.Ascii(reply[..^2], 512));
    }

    /// <summary>Lets whoever has failed to log in wait, so that guessing takes time.</summary>
    private async ValueTask<ConnectionAnswer> DelayRejectionAsync()
    {
        Metrics.AuthFailures.Inc();
        Metrics.AuthAttemptsFailed.Inc();
        await Task.Delay(_services.Options.AuthenticationPause, _services.Time, _connection.ConnectionClosed);
        return ConnectionAnswer.RejectionDelayed;
    }

    /// <summary>Refuses the whole connection.</summary>
    private async Task RefuseAsync(SmtpReply reply)
    {
        var client = _clientText.Length > 0 ? _client : NetworkList.Plain((_connection.RemoteEndPoint as IPEndPoint)?.Address ?? IPAddress.None);
        Metrics.Errors.Inc();
        _services.Refusals.Add(client, reply);
        if (!_listener.HasImplicitTls)
        {
            _wire.Write(reply.Wire);
            await _wire.TryFlushAsync();
        }
    }

    /// <summary>Logs that the client has gone while it was sending a message.</summary>
    private void NoteLoss()
    {
        if (_session is { IsReceiving: true } session)
        {
            MailLog.Lost(_services.MailLogger, session.SubjectMessage, session.SubjectReversePath, _clientText, session.Helo, session.User);
        }
    }
}
