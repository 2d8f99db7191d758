using Google.Protobuf;
using Quorumail.Core.Limits;

namespace Quorumail.Server.Limits.Format;

/// <summary>
/// The limits' commands, answers and records as bytes: a version byte, then the protobuf message that limits.proto describes.
/// </summary>
internal static class LimitEncoding
{
    /// <summary>The version that is written; a higher one means something that this program would apply wrongly.</summary>
    public const byte Version = 1;

    public static byte[] Encode(LimitCommand command) => Write(ToLogged(command));

    /// <summary>Reads a command.</summary>
    /// <returns>Null if the bytes are no command.</returns>
    /// <exception cref="InvalidDataException">A later version wrote it.</exception>
    public static LimitCommand? DecodeCommand(ReadOnlySpan<byte> bytes) =>
        TryRead(bytes, LoggedLimitCommand.Parser, out var logged) ? ToCommand(logged) : null;

    public static byte[] Encode(LimitAnswer answer) => Write(new LoggedLimitAnswer
    {
        Status = (uint)answer.Status,
        Count = answer.Count,
        Until = answer.Until,
        Slot = answer.Slot,
    });

    /// <summary>Reads an answer.</summary>
    /// <returns>Null if the bytes are none: the log has it no more.</returns>
    /// <exception cref="InvalidDataException">A later version wrote it.</exception>
    public static LimitAnswer? DecodeAnswer(ReadOnlySpan<byte> bytes) =>
        TryRead(bytes, LoggedLimitAnswer.Parser, out var logged)
            ? new LimitAnswer((LimitStatus)logged.Status, logged.Count, logged.Until, logged.Slot)
            : null;

    public static byte[] Encode(LimitRecords records)
    {
        var stored = new StoredLimits { NextSlot = records.NextSlot };
        stored.Limits.AddRange(records.Definitions.Select(ToStored));
        stored.Members.AddRange(records.Members.Select(member => new StoredLimitMember
        {
            Node = member.Node,
            Members = member.Members,
            MembersBefore = member.MembersBefore,
            ChangedAt = member.ChangedAt,
        }));
        stored.Grants.AddRange(records.Grants.Select(grant => new StoredLimitGrant
        {
            Limit = grant.Limit,
            Key = grant.Key,
            Node = grant.Node,
            Slot = grant.Slot,
            Count = grant.Count,
            Until = grant.Until,
        }));
        stored.Shares.AddRange(records.Shares.Select(share => new StoredLimitShare
        {
            Limit = share.Limit,
            Node = share.Node,
            Reserve = share.Reserve,
            Number = share.Number,
            Until = share.Until,
        }));
        return Write(stored);
    }

    /// <exception cref="InvalidDataException">Damaged, or a later version wrote it.</exception>
    public static LimitRecords DecodeRecords(ReadOnlySpan<byte> bytes)
    {
        if (!TryRead(bytes, StoredLimits.Parser, out var stored))
        {
            throw new InvalidDataException("The record of the limits is damaged.");
        }

        return new LimitRecords(
            stored.NextSlot,
            [.. stored.Limits.Select(ToDefinition)],
            [.. stored.Members.Select(m => new LimitMember(m.Node, m.Members, m.MembersBefore, m.ChangedAt))],
            [.. stored.Grants.Select(g => new LimitGrant(g.Limit, g.Key, g.Node, g.Slot, g.Count, g.Until))])
        {
            Shares = [.. stored.Shares.Select(s => new LimitShare(s.Limit, s.Node, s.Reserve, s.Number, s.Until))],
        };
    }

    private static LoggedLimitCommand ToLogged(LimitCommand command) => command switch
    {
        DefineLimitCommand c => new LoggedLimitCommand { Define = ToStored(c.Definition), KeepsShares = c.KeepsShares },
        RemoveLimitCommand c => new LoggedLimitCommand { Remove = new LoggedRemoveLimit { Limit = c.Limit } },
        LimitNodesCommand c => new LoggedLimitCommand { Nodes = new LoggedLimitNodes { Nodes = { c.Nodes } } },
        AdoptShareCommand c => new LoggedLimitCommand { Adopt = new LoggedAdoptShare { Node = c.Node, Members = c.Members, Shares = c.Shares } },
        WantTokensCommand c => new LoggedLimitCommand { WantTokens = Use(c.Limit, c.Key, c.Node, count: c.Count) },
        ReturnTokensCommand c => new LoggedLimitCommand { ReturnTokens = Use(c.Limit, c.Key, c.Node, c.Count, c.Until) },
        WantSlotCommand c => new LoggedLimitCommand { WantSlot = Use(c.Limit, c.Key, c.Node) },
        KeepSlotCommand c => new LoggedLimitCommand { KeepSlot = Use(c.Limit, c.Key, c.Node, slot: c.Slot) },
        FreeSlotCommand c => new LoggedLimitCommand { FreeSlot = Use(c.Limit, c.Key, c.Node, slot: c.Slot) },
        _ => throw new ArgumentException($"{command.GetType().Name} has no encoding.", nameof(command)),
    };

    private static LimitCommand? ToCommand(LoggedLimitCommand logged)
    {
        switch (logged.KindCase)
        {
            case LoggedLimitCommand.KindOneofCase.Define:
                return new DefineLimitCommand(ToDefinition(logged.Define), logged.KeepsShares);
            case LoggedLimitCommand.KindOneofCase.Remove:
                return new RemoveLimitCommand(logged.Remove.Limit);
            case LoggedLimitCommand.KindOneofCase.Nodes:
                return new LimitNodesCommand([.. logged.Nodes.Nodes]);
            case LoggedLimitCommand.KindOneofCase.Adopt:
                return new AdoptShareCommand(logged.Adopt.Node, logged.Adopt.Members, logged.Adopt.Shares);
            case LoggedLimitCommand.KindOneofCase.WantTokens:
                var want = logged.WantTokens;
                return new WantTokensCommand(want.Limit, want.Key, want.Node, want.Count);
            case LoggedLimitCommand.KindOneofCase.ReturnTokens:
                var back = logged.ReturnTokens;
                return new ReturnTokensCommand(back.Limit, back.Key, back.Node, back.Until, back.Count);
            case LoggedLimitCommand.KindOneofCase.WantSlot:
                return new WantSlotCommand(logged.WantSlot.Limit, logged.WantSlot.Key, logged.WantSlot.Node);
            case LoggedLimitCommand.KindOneofCase.KeepSlot:
                var keep = logged.KeepSlot;
                return new KeepSlotCommand(keep.Limit, keep.Key, keep.Node, keep.Slot);
            case LoggedLimitCommand.KindOneofCase.FreeSlot:
                var free = logged.FreeSlot;
                return new FreeSlotCommand(free.Limit, free.Key, free.Node, free.Slot);
            default:
                return null;
        }
    }

    private static LoggedLimitUse Use(string limit, string key, string node, int count = 0, long until = 0, long slot = 0) =>
        new() { Limit = limit, Key = key, Node = node, Count = count, Until = until, Slot = slot };

    private static StoredLimit ToStored(LimitDefinition definition) => new()
    {
        Name = definition.Name,
        Kind = (uint)definition.Kind,
        Capacity = definition.Capacity,
        Period = definition.Period,
        Policy = (uint)definition.Policy,
    };

    private static LimitDefinition ToDefinition(StoredLimit stored) =>
        new(stored.Name, (LimitKind)stored.Kind, stored.Capacity, stored.Period, (LimitPolicy)stored.Policy);

    private static byte[] Write(IMessage message)
    {
        var bytes = new byte[1 + message.CalculateSize()];
        bytes[0] = Version;
        message.WriteTo(bytes.AsSpan(1));
        return bytes;
    }

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
            throw new InvalidDataException(
                $"The limits hold a record of format {bytes[0]}, but this version knows formats up to {Version}: start the version that wrote it.");
        }

        try
        {
            message = parser.ParseFrom(bytes[1..]);
            return bytes[0] == Version;
        }
        catch (InvalidProtocolBufferException)
        {
            return false;
        }
    }
}
