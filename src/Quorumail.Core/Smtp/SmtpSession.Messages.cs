using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
using System.Text;
using Quorumail.Core.Mail;

namespace Quorumail.Core.Smtp;

/// <content>Messages: DATA (RFC 5321 4.1.1.4) and BDAT (RFC 3030), from the first octet to the reply.</content>
public sealed partial class SmtpSession
{
    /// <summary>Answers <see cref="SmtpStepKind.StartMessage"/>: the message has a name and a time.</summary>
    public SmtpStep MessageStarted(QueueId id, DateTimeOffset time)
    {
        Settle(SmtpStepKind.StartMessage);
        var transaction = Open;
        transaction.Start(id, time);
        _mode = transaction.IsChunked ? Mode.Message : Mode.AnnounceData;
        var received = TraceFields.Received(
            Helo,
            _client,
            _service.Hostname,
            Protocol,
            id,
            transaction.AcceptedPaths == 1 ? transaction.FirstPath : null,
            time);
        return new SmtpStep(SmtpStepKind.Body, received);
    }

    /// <summary>
    /// Answers <see cref="SmtpStepKind.StartMessage"/>, or comes at any time while the message is received: it can't be stored.
    /// </summary>
    public SmtpStep MessageRefused(SmtpReply reply, ref ReadOnlySequence<byte> input)
    {
        ArgumentNullException.ThrowIfNull(reply);
        if (_owed != SmtpStepKind.StartMessage)
        {
            Invariant.Check(_mode is Mode.Message or Mode.AnnounceData, "a message is being received");
            Incoming.Refuse(reply);
            return Next(ref input);
        }

        Settle(SmtpStepKind.StartMessage);
        var isChunked = Open.IsChunked;
        EndTransaction();
        return isChunked ? StartSkipping(Incoming.ChunkLength, reply, ref input) : Reply(reply);
    }

    /// <summary>Answers <see cref="SmtpStepKind.CommitMessage"/>: the message is durable.</summary>
    public SmtpStep MessageCommitted(QueueId id)
    {
        Settle(SmtpStepKind.CommitMessage);
        Invariant.Check(Open.Id == id, "the message that was committed is the one that was received");
        ClearTransaction();
        _errors = 0;
        _deferredRecipients = 0;
        _idleCommands = 0;
        return Text($"250 2.0.0 queued as {id}\r\n");
    }

    /// <summary>Answers <see cref="SmtpStepKind.CommitMessage"/>: it is not, or nobody knows.</summary>
    public SmtpStep MessageNotCommitted(SmtpReply reply)
    {
        ArgumentNullException.ThrowIfNull(reply);
        Invariant.Check(reply.IsNegative, "no 250 before commit");
        Settle(SmtpStepKind.CommitMessage);
        EndTransaction();
        return Reply(reply);
    }

    private SmtpStep Data(ReadOnlySpan<byte> argument, bool isFollowed)
    {
        Subject = ReplySubject.Message;
        if (isFollowed)
        {
            // What follows may be a message that would be read as commands: no way to go on (RFC 2920 3.1).
            return Close(SmtpReplies.NotSynchronized);
        }

        if (_transaction is not { IsChunked: false } transaction || transaction.TriedPaths == 0)
        {
            return Reply(SmtpReplies.BadSequence);
        }

        if (!argument.IsEmpty || transaction.Recipients.Count == 0)
        {
            return Reply(argument.IsEmpty ? SmtpReplies.NoRecipients : SmtpReplies.Syntax);
        }

        Incoming.StartData();
        return Ask(SmtpStepKind.StartMessage);
    }

    private SmtpStep Chunk(ReadOnlySpan<byte> argument, ref ReadOnlySequence<byte> input)
    {
        Subject = ReplySubject.Message;
        var space = argument.IndexOf((byte)' ');
        var count = space < 0 ? argument : argument[..space];
        var last = space < 0 ? default : argument[(space + 1)..].Trim((byte)' ');
        if (count.IsEmpty || count.ContainsAnyExceptInRange((byte)'0', (byte)'9'))
        {
            return RefuseChunk(0, SmtpReplies.Syntax, ref input);
        }

        // A chunk that large is not read to its end.
        if (!Utf8Parser.TryParse(count, out long octets, out _) || octets > Limits.MessageSizeMax)
        {
            EndTransaction();
            return CloseWithinData(SmtpReplies.TooLarge);
        }

        var isLast = Ascii.EqualsIgnoreCase(last, "LAST"u8);
        var refusal = last.Length > 0 && !isLast ? SmtpReplies.Syntax
            : _transaction is not { TriedPaths: > 0 } ? SmtpReplies.BadSequence
            : _transaction.Recipients.Count == 0 ? SmtpReplies.NoRecipients
            : null;
        if (refusal is not null)
        {
            return RefuseChunk(octets, refusal, ref input);
        }

        var isFirst = !Open.IsChunked;
        if (isFirst)
        {
            Open.IsChunked = true;
            Incoming.StartChunks();
        }

        Incoming.StartChunk(octets, isLast);
        _mode = Mode.Message;
        return isFirst ? Ask(SmtpStepKind.StartMessage) : NextPiece(ref input);
    }

    private SmtpStep NextPiece(ref ReadOnlySequence<byte> input)
    {
        switch (Incoming.Next(ref input, Open, out var octets))
        {
            case Reception.Body:
                return new SmtpStep(SmtpStepKind.Body, octets);
            case Reception.Discard:
                return new SmtpStep(SmtpStepKind.DiscardMessage);
            case Reception.ChunkEnd:
                _mode = Mode.Command;
                return Text(string.Create(CultureInfo.InvariantCulture, $"250 2.0.0 {Incoming.ChunkLength} octets received\r\n"));
            case Reception.Complete:
                return Ask(SmtpStepKind.CommitMessage);
            case Reception.Refused:
                EndTransaction();
                return Reply(Incoming.Refusal);
            case Reception.Endless:
                EndTransaction();
                return CloseWithinData(SmtpReplies.TooLarge);
            default:
                return new SmtpStep(SmtpStepKind.NeedInput);
        }
    }

    /// <summary>Refuses a chunk. A message that lacks it must not be completed by those that follow (RFC 3030 2).</summary>
    private SmtpStep RefuseChunk(long octets, SmtpReply refusal, ref ReadOnlySequence<byte> input)
    {
        var isBegun = _transaction is { IsChunked: true };
        if (isBegun || refusal == SmtpReplies.NoRecipients)
        {
            EndTransaction();
        }

        if (!isBegun)
        {
            return StartSkipping(octets, refusal, ref input);
        }

        Incoming.StartSkipping(octets, refusal);
        _mode = Mode.SkipChunk;
        return new SmtpStep(SmtpStepKind.DiscardMessage);
    }

    private SmtpStep CloseWithinData(SmtpReply reply)
    {
        IsWithinData = true;
        return Close(reply);
    }

    private SmtpStep StartSkipping(long octets, SmtpReply refusal, ref ReadOnlySequence<byte> input)
    {
        Incoming.StartSkipping(octets, refusal);
        _mode = Mode.SkipChunk;
        return SkipChunk(ref input);
    }

    private SmtpStep SkipChunk(ref ReadOnlySequence<byte> input)
    {
        if (!Incoming.Skip(ref input))
        {
            return new SmtpStep(SmtpStepKind.NeedInput);
        }

        _mode = Mode.Command;
        return Reply(Incoming.Refusal);
    }
}
