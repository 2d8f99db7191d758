using Google.Protobuf;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Queue.History;

namespace Quorumail.Server.Queue.Format;

/// <summary>Events of messages' histories as bytes: a version byte, then what queue.proto describes. The key has the rest.</summary>
internal static class HistoryEncoding
{
    private const byte Version = 1;

    public static byte[] Encode(HistoryEvent noted)
    {
        var stored = new StoredHistoryEvent
        {
            At = noted.At,
            Kind = (uint)noted.Kind,
            Attempt = noted.Attempt,
            ReversePath = noted.ReversePath,
            Size = noted.Size,
            Node = noted.Node,
            IsOver = noted.IsOver,
            Reason = noted.Reason,
        };
        foreach (var result in noted.Results)
        {
            stored.Results.Add(new StoredHistoryResult
            {
                To = result.To,
                Outcome = (uint)result.Outcome,
                Reply = result.Reply,
                EnhancedCode = result.EnhancedCode,
                NextHop = result.NextHop,
                NextAttemptAt = result.NextAttemptAt,
            });
        }

        var bytes = new byte[1 + stored.CalculateSize()];
        bytes[0] = Version;
        stored.WriteTo(bytes.AsSpan(1));
        return bytes;
    }

    /// <exception cref="NewerFormatException">A later version wrote it.</exception>
    /// <exception cref="InvalidDataException">Damaged.</exception>
    public static HistoryEvent Decode(ReadOnlySpan<byte> bytes, QueueId id, long index, int place)
    {
        if (bytes.IsEmpty)
        {
            throw new InvalidDataException("An event of the history is empty.");
        }

        if (bytes[0] > Version)
        {
            throw new NewerFormatException(bytes[0], Version);
        }

        StoredHistoryEvent stored;
        try
        {
            stored = StoredHistoryEvent.Parser.ParseFrom(bytes[1..]);
        }
        catch (InvalidProtocolBufferException damaged)
        {
            throw new InvalidDataException("An event of the history is damaged.", damaged);
        }

        return new HistoryEvent(id, index, place, stored.At, (HistoryEventKind)stored.Kind)
        {
            Attempt = stored.Attempt,
            ReversePath = stored.ReversePath,
            Size = stored.Size,
            Node = stored.Node,
            IsOver = stored.IsOver,
            Reason = stored.Reason,
            Results =
            [
                .. stored.Results.Select(result => new HistoryResult(
                    result.To, (RecipientOutcome)result.Outcome, result.Reply, result.EnhancedCode, result.NextHop, result.NextAttemptAt)),
            ],
        };
    }
}
