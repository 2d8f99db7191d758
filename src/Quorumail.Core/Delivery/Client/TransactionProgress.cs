using System.Buffers;

namespace Quorumail.Core.Delivery.Client;

/// <summary>What follows a reply to a command of the envelope.</summary>
internal enum TransactionTurn
{
    Continue = 0,
    SendBody = 1,
    Ended = 2,
    Broken = 3,
}

/// <summary>
/// Where a transaction stands: commands are numbered -1 RSET (if one is needed), 0 MAIL, 1..n RCPT, n+1 DATA; one counter for
/// what has been said and one for what has been answered make pipelined and single commands the same.
/// </summary>
internal sealed class TransactionProgress
{
    private readonly ClientTransaction _transaction;
    private readonly RecipientReply[] _results;
    private int _said;
    private int _answered;
    private int _accepted;
    private int _finalReplies;
    private bool _mailAccepted;

    public TransactionProgress(ClientTransaction transaction, bool needsReset)
    {
        _transaction = transaction;
        _results = new RecipientReply[transaction.Recipients.Count];
        Array.Fill(_results, new RecipientReply(RecipientVerdict.Unanswered, ClientStage.Idle, "4.4.2", string.Empty));
        _said = _answered = needsReset ? -1 : 0;
    }

    public ReadOnlySpan<RecipientReply> Results => _results;

    /// <summary>Whether MAIL was accepted, so that the next transaction has to begin with RSET unless this one was completed.</summary>
    public bool IsOpen => _mailAccepted;

    public bool AllSaid => _said > DataCommand;

    /// <summary>The stage of the command whose reply is due.</summary>
    public ClientStage AwaitedStage => StageOf(_answered);

    private int DataCommand => _results.Length + 1;

    public void SayNext(IBufferWriter<byte> output, EhloCapabilities offered)
    {
        switch (StageOf(_said))
        {
            case ClientStage.Reset:
                EnvelopeCommands.Write(output, "RSET\r\n");
                break;
            case ClientStage.Mail:
                EnvelopeCommands.WriteMail(output, _transaction, offered);
                break;
            case ClientStage.Recipient:
                EnvelopeCommands.WriteRecipient(output, _transaction.Recipients[_said - 1], offered);
                break;
            default:
                EnvelopeCommands.Write(output, "DATA\r\n");
                break;
        }

        _said++;
    }

    public TransactionTurn OnReply(SmtpReply reply)
    {
        var stage = AwaitedStage;
        var recipient = _answered - 1;
        _answered++;
        switch (stage)
        {
            case ClientStage.Reset:
                return reply.IsPositive ? TransactionTurn.Continue : TransactionTurn.Broken;
            case ClientStage.Mail:
                return OnMail(reply);
            case ClientStage.Recipient:
                return OnRecipient(reply, recipient);
            default:
                return OnData(reply);
        }
    }

    /// <summary>Takes a reply to the final dot.</summary>
    /// <returns>Whether it was the last one.</returns>
    public bool OnFinalReply(SmtpReply reply, bool isLmtp)
    {
        if (!isLmtp)
        {
            Settle(RecipientVerdict.Pending, reply, ClientStage.FinalDot);
            return true;
        }

        // RFC 2033 4.2: one reply for each accepted recipient, in the order of the RCPT commands.
        for (var i = 0; i < _results.Length; i++)
        {
            if (_results[i].Verdict == RecipientVerdict.Pending)
            {
                _results[i] = Judge(reply, ClientStage.FinalDot);
                break;
            }
        }

        _finalReplies++;
        return _finalReplies == _accepted;
    }

    /// <summary>The session has ended: what was answered stays, the rest is unanswered or, after the final dot, in doubt.</summary>
    public void OnFailure(ClientFailure failure)
    {
        var verdict = failure.Stage == ClientStage.FinalDot ? RecipientVerdict.InDoubt
            : failure.IsPermanent ? RecipientVerdict.Permanent
            : RecipientVerdict.Unanswered;
        for (var i = 0; i < _results.Length; i++)
        {
            if (_results[i].Verdict is RecipientVerdict.Pending or RecipientVerdict.Unanswered)
            {
                _results[i] = new RecipientReply(verdict, failure.Stage, failure.EnhancedCode, failure.Reason);
            }
        }
    }

    private TransactionTurn OnMail(SmtpReply reply)
    {
        if (reply.IsIntermediate)
        {
            return TransactionTurn.Broken;
        }

        _mailAccepted = reply.IsPositive;
        if (_mailAccepted)
        {
            return TransactionTurn.Continue;
        }

        Settle(RecipientVerdict.Unanswered, reply, ClientStage.Mail);
        return AllSaid ? TransactionTurn.Continue : TransactionTurn.Ended;
    }

    private TransactionTurn OnRecipient(SmtpReply reply, int recipient)
    {
        if (reply.IsIntermediate)
        {
            return TransactionTurn.Broken;
        }

        if (_mailAccepted)
        {
            if (reply.IsPositive)
            {
                _accepted++;
            }

            _results[recipient] = reply.IsPositive
                ? new RecipientReply(RecipientVerdict.Pending, ClientStage.Recipient, reply.StatusOrDefault, reply.Text)
                : Judge(reply, ClientStage.Recipient);
        }

        return _answered == DataCommand && _accepted == 0 && !AllSaid ? TransactionTurn.Ended : TransactionTurn.Continue;
    }

    private TransactionTurn OnData(SmtpReply reply)
    {
        if (reply.Code == 354)
        {
            // RFC 2920 3.1: a pipelined DATA may be granted though no recipient was. Nothing can be sent then, and only
            // closing ends the data without a message.
            return _accepted > 0 ? TransactionTurn.SendBody : TransactionTurn.Broken;
        }

        if (reply.IsPositive || reply.IsIntermediate)
        {
            return TransactionTurn.Broken;
        }

        Settle(RecipientVerdict.Pending, reply, ClientStage.Data);
        return TransactionTurn.Ended;
    }

    private void Settle(RecipientVerdict which, SmtpReply reply, ClientStage stage)
    {
        var judged = Judge(reply, stage);
        for (var i = 0; i < _results.Length; i++)
        {
            if (_results[i].Verdict == which)
            {
                _results[i] = judged;
            }
        }
    }

    private static RecipientReply Judge(SmtpReply reply, ClientStage stage)
    {
        if (reply.IsPositive)
        {
            return new RecipientReply(RecipientVerdict.Delivered, stage, reply.StatusOrDefault, reply.Text);
        }

        // RFC 5321 4.5.3.1.10: 552 at RCPT means "too many recipients" and is temporary.
        return reply.IsTemporary || (reply.Code == 552 && stage == ClientStage.Recipient)
            ? new RecipientReply(RecipientVerdict.Temporary, stage, Temporary(reply.StatusOrDefault), reply.Text)
            : new RecipientReply(RecipientVerdict.Permanent, stage, reply.StatusOrDefault, reply.Text);
    }

    private static string Temporary(string status) => status[0] == '5' ? string.Concat("4", status.AsSpan(1)) : status;

    private ClientStage StageOf(int command) => command switch
    {
        -1 => ClientStage.Reset,
        0 => ClientStage.Mail,
        _ when command <= _results.Length => ClientStage.Recipient,
        _ => ClientStage.Data,
    };
}
