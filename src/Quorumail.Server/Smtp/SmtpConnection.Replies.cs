using Quorumail.Core.Smtp;
using Quorumail.Server.Http;
using Quorumail.Server.Logging;

namespace Quorumail.Server.Smtp;

/// <content>What is written, and what the log and the metrics tell of it.</content>
internal sealed partial class SmtpConnection
{
    private void WriteReply(ReadOnlySpan<byte> octets)
    {
        if (octets.IsEmpty)
        {
            return;
        }

        _wire.Write(octets);
        if (octets[0] >= (byte)'4' || octets.StartsWith("235"u8))
        {
            Note(octets);
        }

        _isAskingRecipient = false;
    }

    /// <summary>Counts and logs a reply that says no, or that somebody has authenticated.</summary>
    private void Note(ReadOnlySpan<byte> reply)
    {
        if (reply[0] == (byte)'2')
        {
            Metrics.AuthSuccesses.Inc();
            return;
        }

        if (reply.StartsWith("535"u8))
        {
            Metrics.AuthFailures.Inc();
        }

        var session = Session;
        var from = session.HasTransaction ? session.ReversePath.Address : null;
        string? to = null;
        if (_isAskingRecipient)
        {
            Metrics.RecipientsRejected.Inc();
            to = session.ForwardPath.Address;
        }
        else if (_isRejecting)
        {
            _isRejecting = false;
            Metrics.MessagesRejected.Inc();
        }

        MailLog.Rejected(_services.MailLogger, _clientText, session.Helo, from, to, Printable.Ascii(reply[..^2], 512));
    }

    private async Task RefuseAsync(SmtpReply reply)
    {
        if (!_listener.HasImplicitTls)
        {
            _wire.Write(reply.Wire);
            await _wire.TryFlushAsync();
        }
    }
}
