using Google.Protobuf;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Server.Queue.Format;

/// <summary>
/// Commands and records as bytes: a version byte, then the protobuf message that queue.proto describes. A version above
/// ours means something that this program would apply wrongly, so it is refused and not guessed at.
/// </summary>
internal static class QueueEncoding
{
    /// <summary>The highest version that is known. What version 1 can say is written as version 1, so that an older program reads it.</summary>
    public const byte Version = 3;

    private const byte First = 1;
    private const byte Second = 2;

    private static readonly JsonFormatter Json =
        new(JsonFormatter.Settings.Default.WithFormatDefaultValues(false).WithPreserveProtoFieldNames(true));

    public static byte[] Encode(QueueCommand command)
    {
        var logged = NodeEncoding.ToLogged(command) ?? AdminEncoding.ToLogged(command);
        return logged is not null ? Write(logged, Second) : Write(ToLogged(command), Carries(command) ? Version : First);
    }

    /// <summary>Whether a command may hold bodies: one without them is written as an older version.</summary>
    public static bool MayCarry(ReadOnlySpan<byte> bytes) => bytes.Length > 0 && bytes[0] > Second;

    /// <summary>Reads a command.</summary>
    /// <returns>Null if the bytes are no command.</returns>
    /// <exception cref="NewerFormatException">A later version wrote it.</exception>
    public static QueueCommand? DecodeCommand(ReadOnlySpan<byte> bytes) =>
        TryRead(bytes, LoggedCommand.Parser, out var logged) ? ToCommand(logged) : null;

    public static byte[] Encode(QueuedMessage message) => Write(
        ToStored(message),
        message.Placed != 0 || message.IsHeld || message.Recipients.Any(r => r.State == RecipientState.OwnerLost || HasOtherEpoch(message, r))
            ? Second : First);

    /// <exception cref="NewerFormatException">A later version wrote it.</exception>
    /// <exception cref="InvalidDataException">Damaged.</exception>
    public static QueuedMessage DecodeMessage(ReadOnlySpan<byte> bytes) =>
        ToMessage(Read(bytes, StoredMessage.Parser));

    public static byte[] Encode(ListedSuspect listed) => Write(new StoredSuspect
    {
        IdTime = (ulong)listed.Suspect.Id.Milliseconds,
        IdRandom = listed.Suspect.Id.RandomPart,
        Recipient = listed.Suspect.Recipient,
        Attempt = listed.Suspect.Attempt,
        Reason = (uint)listed.Suspect.Reason,
        ListedAt = listed.Suspect.ListedAt,
        Detail = listed.Suspect.Detail,
        Sequence = listed.Sequence,
    });

    /// <exception cref="NewerFormatException">A later version wrote it.</exception>
    /// <exception cref="InvalidDataException">Damaged.</exception>
    public static ListedSuspect DecodeSuspect(ReadOnlySpan<byte> bytes)
    {
        var stored = Read(bytes, StoredSuspect.Parser);
        return new ListedSuspect(stored.Sequence, new Suspect(
            Id(stored.IdTime, stored.IdRandom), stored.Recipient, stored.Attempt, (SuspectReason)stored.Reason,
            stored.ListedAt, stored.Detail));
    }

    public static byte[] Encode(Tombstone tombstone) => Write(new StoredTombstone
    {
        IdTime = (ulong)tombstone.Id.Milliseconds,
        IdRandom = tombstone.Id.RandomPart,
        SetAt = tombstone.SetAt,
        Sequence = tombstone.Sequence,
    });

    /// <exception cref="NewerFormatException">A later version wrote it.</exception>
    /// <exception cref="InvalidDataException">Damaged.</exception>
    public static Tombstone DecodeTombstone(ReadOnlySpan<byte> bytes)
    {
        var stored = Read(bytes, StoredTombstone.Parser);
        return new Tombstone(stored.Sequence, Id(stored.IdTime, stored.IdRandom), stored.SetAt);
    }

    public static byte[] Encode(FinishedId finished) => Write(new StoredFinished
    {
        IdTime = (ulong)finished.Id.Milliseconds,
        IdRandom = finished.Id.RandomPart,
        Sequence = finished.Sequence,
        Slot = finished.Slot,
    });

    /// <exception cref="NewerFormatException">A later version wrote it.</exception>
    /// <exception cref="InvalidDataException">Damaged.</exception>
    public static FinishedId DecodeFinished(ReadOnlySpan<byte> bytes)
    {
        var stored = Read(bytes, StoredFinished.Parser);
        return new FinishedId(stored.Sequence, stored.Slot, Id(stored.IdTime, stored.IdRandom));
    }

    public static byte[] Encode(KeyValuePair<string, long> ownerEpoch) =>
        Write(new StoredOwnerEpoch { Owner = ownerEpoch.Key, Epoch = ownerEpoch.Value });

    /// <exception cref="NewerFormatException">A later version wrote it.</exception>
    /// <exception cref="InvalidDataException">Damaged.</exception>
    public static KeyValuePair<string, long> DecodeOwnerEpoch(ReadOnlySpan<byte> bytes)
    {
        var stored = Read(bytes, StoredOwnerEpoch.Parser);
        return new(stored.Owner, stored.Epoch);
    }

    public static byte[] Encode(QueueMarks marks) => Write(new StoredMarks
    {
        LastEpoch = marks.LastEpoch,
        NextSuspect = marks.NextSuspect,
        NextTombstone = marks.NextTombstone,
        IdFloor = marks.IdFloor,
        SuspectsOverflowed = marks.SuspectsOverflowed,
        NextFinished = marks.NextFinished,
        FinishedFloor = marks.FinishedFloor,
        NextRemoval = marks.NextRemoval,
    });

    /// <exception cref="NewerFormatException">A later version wrote it.</exception>
    /// <exception cref="InvalidDataException">Damaged.</exception>
    public static QueueMarks DecodeMarks(ReadOnlySpan<byte> bytes)
    {
        var stored = Read(bytes, StoredMarks.Parser);
        return new QueueMarks(
            stored.LastEpoch, stored.NextSuspect, stored.NextTombstone, stored.IdFloor, stored.SuspectsOverflowed)
        {
            NextFinished = stored.NextFinished,
            FinishedFloor = stored.FinishedFloor,
            NextRemoval = stored.NextRemoval,
        };
    }

    public static byte[] Encode(QueueMembers members) => Write(NodeEncoding.ToStored(members), Second);

    /// <exception cref="NewerFormatException">A later version wrote it.</exception>
    /// <exception cref="InvalidDataException">Damaged.</exception>
    public static QueueMembers DecodeMembers(ReadOnlySpan<byte> bytes) =>
        NodeEncoding.ToMembers(Read(bytes, StoredMembers.Parser));

    public static byte[] Encode(Placement placement) => Write(
        new StoredPlacement { Epoch = placement.Epoch, Members = NodeEncoding.ToStored(placement.Members) }, Second);

    /// <exception cref="NewerFormatException">A later version wrote it.</exception>
    /// <exception cref="InvalidDataException">Damaged.</exception>
    public static Placement DecodePlacement(ReadOnlySpan<byte> bytes)
    {
        var stored = Read(bytes, StoredPlacement.Parser);
        return new Placement(stored.Epoch, NodeEncoding.ToMembers(stored.Members ?? new StoredMembers()));
    }

    public static byte[] Encode(Suspension suspension) => Write(AdminEncoding.ToStored(suspension), Second);

    /// <exception cref="NewerFormatException">A later version wrote it.</exception>
    /// <exception cref="InvalidDataException">Damaged.</exception>
    public static Suspension DecodeSuspension(ReadOnlySpan<byte> bytes) =>
        AdminEncoding.ToSuspension(Read(bytes, StoredSuspension.Parser));

    public static byte[] Encode(Removal removal) => Write(AdminEncoding.ToStored(removal), Second);

    /// <exception cref="NewerFormatException">A later version wrote it.</exception>
    /// <exception cref="InvalidDataException">Damaged.</exception>
    public static Removal DecodeRemoval(ReadOnlySpan<byte> bytes) =>
        AdminEncoding.ToRemoval(Read(bytes, StoredRemoval.Parser));

    public static byte[] EncodeEnd(long index, long records) =>
        Write(new SnapshotEnd { Index = index, Records = records });

    /// <exception cref="NewerFormatException">A later version wrote it.</exception>
    /// <exception cref="InvalidDataException">Damaged.</exception>
    public static (long Index, long Records) DecodeEnd(ReadOnlySpan<byte> bytes)
    {
        var end = Read(bytes, SnapshotEnd.Parser);
        return (end.Index, end.Records);
    }

    /// <summary>A logged command for human eyes: one line of JSON, without bodies and fields of later versions.</summary>
    /// <exception cref="NewerFormatException">A later version wrote it.</exception>
    /// <exception cref="InvalidDataException">Damaged.</exception>
    public static string DumpCommand(ReadOnlySpan<byte> bytes)
    {
        var logged = Read(bytes, LoggedCommand.Parser);
        foreach (var enqueue in logged.Enqueue is { } one ? [one] : logged.AttemptEnded?.Notices ?? [])
        {
            // Mail is not for those who look at logs.
            enqueue.Body = ByteString.Empty;
        }

        return Dump(logged);
    }

    /// <summary>A stored message for human eyes.</summary>
    /// <exception cref="NewerFormatException">A later version wrote it.</exception>
    /// <exception cref="InvalidDataException">Damaged.</exception>
    public static string DumpMessage(ReadOnlySpan<byte> bytes) => Dump(Read(bytes, StoredMessage.Parser));

    private static string Dump(IMessage message) => Json.Format(message);

    private static byte[] Write(IMessage message, byte version = First)
    {
        var bytes = new byte[1 + message.CalculateSize()];
        bytes[0] = version;
        message.WriteTo(bytes.AsSpan(1));
        return bytes;
    }

    private static T Read<T>(ReadOnlySpan<byte> bytes, MessageParser<T> parser)
        where T : IMessage<T> =>
        TryRead(bytes, parser, out var message)
            ? message
            : throw new InvalidDataException($"A record of the queue is no {typeof(T).Name}.");

    private static bool TryRead<T>(ReadOnlySpan<byte> bytes, MessageParser<T> parser, out T message)
        where T : IMessage<T>
    {
        message = default!;
        if (bytes.IsEmpty)
        {
            return false;
        }

        if (bytes[0] > Version)
        {
            throw new NewerFormatException(bytes[0], Version);
        }

        try
        {
            message = parser.ParseFrom(bytes[1..]);
            return bytes[0] >= First;
        }
        catch (InvalidProtocolBufferException)
        {
            return false;
        }
    }

    internal static QueueId Id(ulong time, uint random) => QueueId.Create((long)time & ((1L << 48) - 1), random);

    private static bool Carries(QueueCommand command) => command switch
    {
        EnqueueCommand enqueue => !enqueue.Body.IsEmpty,
        AttemptEndedCommand ended => ended.Notices.Any(notice => !notice.Body.IsEmpty),
        _ => false,
    };

    private static LoggedCommand ToLogged(QueueCommand command) => command switch
    {
        EnqueueCommand enqueue => new LoggedCommand { Enqueue = ToLogged(enqueue) },
        AbandonCommand { Id: var id } => new LoggedCommand
        {
            Abandon = new LoggedAbandon { IdTime = (ulong)id.Milliseconds, IdRandom = id.RandomPart },
        },
        WithdrawCommand { Id: var id } => new LoggedCommand
        {
            Withdraw = new LoggedWithdraw { IdTime = (ulong)id.Milliseconds, IdRandom = id.RandomPart },
        },
        ReportUnreadReplyCommand { Id: var id } => new LoggedCommand
        {
            UnreadReply = new LoggedUnreadReply { IdTime = (ulong)id.Milliseconds, IdRandom = id.RandomPart },
        },
        AttemptStartedCommand started => new LoggedCommand { AttemptStarted = ToLogged(started) },
        AttemptEndedCommand ended => new LoggedCommand { AttemptEnded = ToLogged(ended) },
        OwnerRestartedCommand { Owner: var owner } => new LoggedCommand
        {
            OwnerRestarted = new LoggedOwnerRestarted { Owner = owner },
        },
        _ => throw new ArgumentException($"{command.GetType().Name} has no encoding.", nameof(command)),
    };

    private static QueueCommand? ToCommand(LoggedCommand logged) => logged.KindCase switch
    {
        LoggedCommand.KindOneofCase.Enqueue => ToCommand(logged.Enqueue),
        LoggedCommand.KindOneofCase.Abandon =>
            new AbandonCommand(Id(logged.Abandon.IdTime, logged.Abandon.IdRandom)),
        LoggedCommand.KindOneofCase.Withdraw =>
            new WithdrawCommand(Id(logged.Withdraw.IdTime, logged.Withdraw.IdRandom)),
        LoggedCommand.KindOneofCase.UnreadReply =>
            new ReportUnreadReplyCommand(Id(logged.UnreadReply.IdTime, logged.UnreadReply.IdRandom)),
        LoggedCommand.KindOneofCase.AttemptStarted => new AttemptStartedCommand(
            Id(logged.AttemptStarted.IdTime, logged.AttemptStarted.IdRandom), logged.AttemptStarted.Epoch,
            logged.AttemptStarted.Attempt, [.. logged.AttemptStarted.Recipients]),
        LoggedCommand.KindOneofCase.AttemptEnded => ToCommand(logged.AttemptEnded),
        LoggedCommand.KindOneofCase.OwnerRestarted => new OwnerRestartedCommand(logged.OwnerRestarted.Owner),
        _ => NodeEncoding.ToCommand(logged) ?? AdminEncoding.ToCommand(logged),
    };

    private static LoggedEnqueue ToLogged(EnqueueCommand command)
    {
        var logged = new LoggedEnqueue
        {
            IdTime = (ulong)command.Id.Milliseconds,
            IdRandom = command.Id.RandomPart,
            ReversePath = command.Envelope.ReversePath,
            DsnReturn = (uint)command.Envelope.Return,
            Size = command.Size,
            Traits = (uint)command.Traits,
            BodyHash = UnsafeByteOperations.UnsafeWrap(command.BodyHash),
            Owner = command.Owner,
            Tenant = command.Tenant,
        };
        if (command.Envelope.EnvelopeId is { } envelopeId)
        {
            logged.EnvelopeId = envelopeId;
        }

        foreach (var recipient in command.Envelope.Recipients)
        {
            logged.Recipients.Add(ToLogged(recipient));
        }

        AddHolders(logged.Holders, command.Holders);
        if (!command.Body.IsEmpty)
        {
            logged.Body = UnsafeByteOperations.UnsafeWrap(command.Body);
        }

        return logged;
    }

    private static EnqueueCommand ToCommand(LoggedEnqueue logged)
    {
        var recipients = new EnvelopeRecipient[logged.Recipients.Count];
        for (var i = 0; i < recipients.Length; i++)
        {
            recipients[i] = ToRecipient(logged.Recipients[i]);
        }

        return new EnqueueCommand(
            Id(logged.IdTime, logged.IdRandom),
            new Envelope(logged.ReversePath, recipients, (DsnReturn)logged.DsnReturn,
                logged.HasEnvelopeId ? logged.EnvelopeId : null),
            logged.Size, (BodyTraits)logged.Traits, logged.BodyHash.Memory, ToHolders(logged.Holders), logged.Owner,
            logged.Tenant)
        {
            Body = logged.Body.Memory,
        };
    }

    private static LoggedAttemptStarted ToLogged(AttemptStartedCommand command)
    {
        var logged = new LoggedAttemptStarted
        {
            IdTime = (ulong)command.Id.Milliseconds,
            IdRandom = command.Id.RandomPart,
            Epoch = command.Epoch,
            Attempt = command.Attempt,
        };
        logged.Recipients.AddRange(command.Recipients);
        return logged;
    }

    private static LoggedAttemptEnded ToLogged(AttemptEndedCommand command)
    {
        var logged = new LoggedAttemptEnded
        {
            IdTime = (ulong)command.Id.Milliseconds,
            IdRandom = command.Id.RandomPart,
            Epoch = command.Epoch,
            Attempt = command.Attempt,
        };
        foreach (var result in command.Results)
        {
            logged.Results.Add(ToLogged(result));
        }

        foreach (var notice in command.Notices)
        {
            logged.Notices.Add(ToLogged(notice));
        }

        return logged;
    }

    private static AttemptEndedCommand ToCommand(LoggedAttemptEnded logged)
    {
        var results = new RecipientResult[logged.Results.Count];
        for (var i = 0; i < results.Length; i++)
        {
            results[i] = ToResult(logged.Results[i]);
        }

        var notices = logged.Notices.Count == 0 ? [] : new EnqueueCommand[logged.Notices.Count];
        for (var i = 0; i < notices.Length; i++)
        {
            notices[i] = ToCommand(logged.Notices[i]);
        }

        return new AttemptEndedCommand(
            Id(logged.IdTime, logged.IdRandom), logged.Epoch, logged.Attempt, results, notices);
    }

    private static LoggedRecipient ToLogged(EnvelopeRecipient recipient)
    {
        var logged = new LoggedRecipient { Address = recipient.Address, Notify = (uint)recipient.Notify };
        if (recipient.OriginalRecipient is { } original)
        {
            logged.OriginalRecipient = original;
        }

        return logged;
    }

    private static EnvelopeRecipient ToRecipient(LoggedRecipient logged) => new(
        logged.Address, (DsnNotify)logged.Notify, logged.HasOriginalRecipient ? logged.OriginalRecipient : null);

    private static LoggedResult ToLogged(RecipientResult result) => new()
    {
        Recipient = result.Recipient,
        Outcome = (uint)result.Outcome,
        Reply = result.Reply,
        EnhancedCode = result.EnhancedCode,
        NextHop = result.NextHop,
        NextAttemptAt = result.NextAttemptAt,
        DelayNoticed = result.DelayNoticed,
    };

    private static RecipientResult ToResult(LoggedResult logged) => new(
        logged.Recipient, (RecipientOutcome)logged.Outcome, logged.Reply, logged.EnhancedCode, logged.NextHop,
        logged.NextAttemptAt, logged.DelayNoticed);

    private static void AddHolders(
        Google.Protobuf.Collections.RepeatedField<LoggedHolder> logged, IReadOnlyList<BodyHolder> holders)
    {
        foreach (var holder in holders)
        {
            logged.Add(new LoggedHolder { Node = holder.Node, Incarnation = holder.Incarnation });
        }
    }

    private static BodyHolder[] ToHolders(Google.Protobuf.Collections.RepeatedField<LoggedHolder> logged)
    {
        var holders = new BodyHolder[logged.Count];
        for (var i = 0; i < holders.Length; i++)
        {
            holders[i] = new BodyHolder(logged[i].Node, logged[i].Incarnation);
        }

        return holders;
    }

    private static StoredMessage ToStored(QueuedMessage message)
    {
        var stored = new StoredMessage
        {
            IdTime = (ulong)message.Id.Milliseconds,
            IdRandom = message.Id.RandomPart,
            ReversePath = message.ReversePath,
            DsnReturn = (uint)message.Return,
            Size = message.Size,
            Traits = (uint)message.Traits,
            BodyHash = UnsafeByteOperations.UnsafeWrap(message.BodyHash),
            Owner = message.Owner,
            Epoch = message.Epoch,
            EnqueuedAt = message.EnqueuedAt,
            Tenant = message.Tenant,
            Placed = message.Placed,
            IsHeld = message.IsHeld,
        };
        if (message.EnvelopeId is { } envelopeId)
        {
            stored.EnvelopeId = envelopeId;
        }

        foreach (var recipient in message.Recipients)
        {
            var storedRecipient = new StoredRecipient
            {
                Envelope = ToLogged(recipient.Envelope),
                State = (uint)recipient.State,
                Attempts = recipient.Attempts,
                OpenAttempt = recipient.OpenAttempt,
                NextAttemptAt = recipient.NextAttemptAt,
                LastResult = recipient.LastResult is { } result ? ToLogged(result) : null,
                DelayNoticed = recipient.DelayNoticed,
            };
            if (HasOtherEpoch(message, recipient))
            {
                storedRecipient.OpenEpoch = recipient.OpenEpoch;
            }

            stored.Recipients.Add(storedRecipient);
        }

        AddHolders(stored.Holders, message.Holders);
        return stored;
    }

    private static bool HasOtherEpoch(QueuedMessage message, QueuedRecipient recipient) =>
        recipient.OpenAttempt != 0 && recipient.OpenEpoch != message.Epoch;

    private static QueuedMessage ToMessage(StoredMessage stored)
    {
        var recipients = new QueuedRecipient[stored.Recipients.Count];
        for (var i = 0; i < recipients.Length; i++)
        {
            var recipient = stored.Recipients[i];
            recipients[i] = new QueuedRecipient(
                ToRecipient(recipient.Envelope ?? new LoggedRecipient()), (RecipientState)recipient.State,
                recipient.Attempts, recipient.OpenAttempt, recipient.NextAttemptAt,
                recipient.LastResult is { } result ? ToResult(result) : null, recipient.DelayNoticed)
            {
                OpenEpoch = recipient.OpenAttempt == 0 ? 0 : recipient.HasOpenEpoch ? recipient.OpenEpoch : stored.Epoch,
            };
        }

        return new QueuedMessage(
            Id(stored.IdTime, stored.IdRandom), stored.ReversePath, (DsnReturn)stored.DsnReturn,
            stored.HasEnvelopeId ? stored.EnvelopeId : null, recipients, stored.Size, (BodyTraits)stored.Traits,
            stored.BodyHash.Memory, ToHolders(stored.Holders), stored.Owner, stored.Epoch, stored.EnqueuedAt,
            stored.Tenant)
        {
            Placed = stored.Placed,
            IsHeld = stored.IsHeld,
        };
    }
}
