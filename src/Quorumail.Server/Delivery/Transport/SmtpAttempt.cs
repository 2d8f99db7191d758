using System.Text;
using Microsoft.Extensions.Logging;
using Quorumail.Core.Delivery;
using Quorumail.Core.Delivery.Client;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Configuration;
using Quorumail.Server.Logging;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Delivery.Transport;

/// <summary>
/// One attempt's transactions: which recipients are still open, whether the next hop can take the message, and what its replies
/// mean. At most one dot is sent, whatever the number of connections.
/// </summary>
internal sealed class SmtpAttempt
{
    private readonly DeliveryAttempt _attempt;
    private readonly AttemptStart _start;
    private readonly EightBitConverter _converter;
    private readonly IDeliveryQueue _queue;
    private readonly EightBitDowngrade _downgrade;
    private readonly ILogger _mailLog;
    private readonly List<int> _open;

    public SmtpAttempt(
        DeliveryAttempt attempt,
        AttemptStart start,
        EightBitConverter converter,
        IDeliveryQueue queue,
        EightBitDowngrade downgrade,
        ILogger mailLog)
    {
        _attempt = attempt;
        _start = start;
        _converter = converter;
        _queue = queue;
        _downgrade = downgrade;
        _mailLog = mailLog;
        _open = [.. attempt.Job.Recipients];
        RefuseUnsafeAddresses();
    }

    /// <summary>Whether every recipient has its reply.</summary>
    public bool IsSettled => _open.Count == 0;

    /// <summary>Whether a transaction was begun: then there is a result to be recorded.</summary>
    public bool IsBegun { get; private set; }

    /// <summary>Why the latest connection didn't settle it.</summary>
    public DeliveryReply? Last { get; private set; }

    private QueuedMessage Message => _attempt.Job.Message;

    /// <summary>Says the same of all recipients that are open.</summary>
    public void SettleRest(DeliveryReply reply)
    {
        foreach (var recipient in _open)
        {
            _attempt.Reply(recipient, reply);
        }

        _open.Clear();
    }

    /// <summary>Tries a transaction on a connection.</summary>
    public async Task<AttemptEnd> RunAsync(SmtpConnection connection, CancellationToken abort)
    {
        if (IsSettled)
        {
            return AttemptEnd.Settled;
        }

        var transaction = Transaction();
        switch (connection.Session.ObstacleFor(transaction))
        {
            case TransactionObstacle.TooLarge:
                var limit = connection.Session.Capabilities.SizeMax;
                return Settle(connection, DeliveryVerdict.Permanent, "5.3.4", $"message of {Message.Size} octets is larger than the next hop takes ({limit})");
            case TransactionObstacle.NeedsSmtpUtf8 when CanSplit():
                transaction = Transaction();
                break;
            case TransactionObstacle.NeedsSmtpUtf8:
                Last = new DeliveryReply(DeliveryVerdict.Permanent, "no next hop has SMTPUTF8, which the message needs", "5.6.7", connection.Name);
                return AttemptEnd.NeedsSmtpUtf8;
            case TransactionObstacle.UnsafeAddress:
                return Settle(connection, DeliveryVerdict.Permanent, "5.1.7", "the sender's address can't be written into a command");
            default:
                break;
        }

        try
        {
            return await SendAsync(connection, transaction, abort);
        }
        catch (StorageException error)
        {
            // Another next hop would not get it either. What was proposed is over before the replies are given.
            await _start.SettleAsync();
            return Settle(connection, DeliveryVerdict.Temporary, "4.3.0", error.Message);
        }
    }

    private async Task<AttemptEnd> SendAsync(SmtpConnection connection, ClientTransaction transaction, CancellationToken abort)
    {
        IsBegun = true;
        var needsConversion = connection.Session.ObstacleFor(transaction) == TransactionObstacle.NeedsEightBit
            && _downgrade != EightBitDowngrade.Pass;
        if (needsConversion && _downgrade == EightBitDowngrade.Bounce)
        {
            return Settle(connection, DeliveryVerdict.Permanent, "5.6.3", "the next hop does not take 8-bit messages");
        }

        MessageContent content;
        if (needsConversion)
        {
            if (await ConvertAsync(abort) is not { } converted)
            {
                return Settle(connection, DeliveryVerdict.Permanent, "5.6.3", "the next hop takes no 8-bit messages and this one can't be converted");
            }

            content = converted;
            transaction = transaction with { Size = converted.Size, Traits = transaction.Traits & ~BodyTraits.EightBit };
            if (connection.Session.ObstacleFor(transaction) == TransactionObstacle.TooLarge)
            {
                return Settle(connection, DeliveryVerdict.Permanent, "5.3.4", "converted to 7 bits the message is larger than the next hop takes");
            }

            _start.Begin(abort);
        }
        else
        {
            // The queue's answer travels while the body is read and the envelope is sent.
            _start.Begin(abort);
            content = await _queue.OpenAsync(Message.Id, abort);
        }

        using (content)
        {
            var first = Message.Recipients[_open[0]].Envelope.Address;
            MailLog.Attempt(_mailLog, Message.Id, Message.ReversePath, first, transaction.Recipients.Count, connection.Name, _attempt.Job.Attempt);
            await connection.SendAsync(transaction, content, _start.PermitAsync);
        }

        // The attempt is one caller's at a time: the answer must have been taken before replies are given.
        await _start.SettleAsync();
        return TakeResults(connection, transaction.Recipients.Count);
    }

    private async Task<MessageContent?> ConvertAsync(CancellationToken abort)
    {
        using var stored = await _queue.OpenAsync(Message.Id, abort);
        return await _converter.ConvertAsync(stored, abort);
    }

    private AttemptEnd TakeResults(SmtpConnection connection, int count)
    {
        var results = connection.Session.Results;
        var handover = connection.Session.Capabilities.Dsn ? DeliveryHandover.Onward
            : _attempt.Job.Destination.Route.Transport == RouteTransport.Lmtp ? DeliveryHandover.Final
            : DeliveryHandover.Relayed;
        var unanswered = new List<int>();
        for (var i = 0; i < count; i++)
        {
            var result = results[i];
            if (result.Verdict is RecipientVerdict.Unanswered or RecipientVerdict.Pending)
            {
                Last = new DeliveryReply(DeliveryVerdict.Temporary, result.Text, result.EnhancedCode, connection.Name);
                unanswered.Add(_open[i]);
                continue;
            }

            var verdict = result.Verdict switch
            {
                RecipientVerdict.Delivered => DeliveryVerdict.Delivered,
                RecipientVerdict.Temporary => DeliveryVerdict.Temporary,
                RecipientVerdict.Permanent => DeliveryVerdict.Permanent,
                _ => DeliveryVerdict.InDoubt,
            };
            _attempt.Reply(_open[i], new DeliveryReply(verdict, result.Text, result.EnhancedCode, connection.Name, handover));
        }

        _open.Clear();
        _open.AddRange(unanswered);
        if (_open.Count > 0 && _start.IsRefused)
        {
            SettleRest(new DeliveryReply(DeliveryVerdict.Temporary, "the attempt could not be recorded", "4.3.0", connection.Name));
        }

        return _open.Count == 0 ? AttemptEnd.Settled : AttemptEnd.Lost;
    }

    private ClientTransaction Transaction()
    {
        var recipients = new EnvelopeRecipient[_open.Count];
        for (var i = 0; i < recipients.Length; i++)
        {
            recipients[i] = Message.Recipients[_open[i]].Envelope;
        }

        return new ClientTransaction(
            Message.ReversePath, recipients, Message.Size, Message.Traits, Message.Return, Message.EnvelopeId);
    }

    /// <summary>
    /// If only some recipients need SMTPUTF8, the others are served now and those wait for an attempt of their own, which then
    /// asks every exchanger.
    /// </summary>
    private bool CanSplit()
    {
        if ((Message.Traits & BodyTraits.EightBitHeaders) != BodyTraits.None || !Ascii.IsValid(Message.ReversePath))
        {
            return false;
        }

        var international = _open.FindAll(recipient => !Ascii.IsValid(Message.Recipients[recipient].Envelope.Address));
        if (international.Count == _open.Count)
        {
            return false;
        }

        foreach (var recipient in international)
        {
            _attempt.Reply(recipient, new DeliveryReply(DeliveryVerdict.Temporary, "this next hop has no SMTPUTF8", "4.6.7", ""));
            _open.Remove(recipient);
        }

        return true;
    }

    private void RefuseUnsafeAddresses()
    {
        for (var i = _open.Count - 1; i >= 0; i--)
        {
            if (!SmtpClientSession.IsSafeAddress(Message.Recipients[_open[i]].Envelope.Address))
            {
                _attempt.Reply(
                    _open[i], new DeliveryReply(DeliveryVerdict.Permanent, "the address can't be written into a command", "5.1.3", ""));
                _open.RemoveAt(i);
            }
        }
    }

    private AttemptEnd Settle(SmtpConnection connection, DeliveryVerdict verdict, string code, string text)
    {
        SettleRest(new DeliveryReply(verdict, text, code, connection.Name));
        return AttemptEnd.Settled;
    }
}
