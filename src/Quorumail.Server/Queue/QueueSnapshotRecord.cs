using Quorumail.Server.Limits.Format;
using Quorumail.Server.Queue.Format;

namespace Quorumail.Server.Queue;

/// <summary>One record of a snapshot: marks, the members, an owner's epoch, a tombstone, a suspect, a finished id, a message, the limits, or the end.</summary>
internal readonly record struct QueueSnapshotRecord(QueueSnapshotRecord.Kind Is, object Value)
{
    /// <summary>What a record holds; the numbers stand in snapshots.</summary>
    public enum Kind : byte
    {
        Marks = 1,
        OwnerEpoch = 2,
        Tombstone = 3,
        Suspect = 4,
        Message = 5,
        End = 6,
        Finished = 7,
        Members = 8,
        Suspension = 9,
        Removal = 10,
        Limits = 11,
    }

    public static QueueSnapshotRecord Decode(Kind kind, ReadOnlySpan<byte> bytes) => new(kind, kind switch
    {
        Kind.Marks => QueueEncoding.DecodeMarks(bytes),
        Kind.OwnerEpoch => QueueEncoding.DecodeOwnerEpoch(bytes),
        Kind.Tombstone => QueueEncoding.DecodeTombstone(bytes),
        Kind.Suspect => QueueEncoding.DecodeSuspect(bytes),
        Kind.Message => QueueEncoding.DecodeMessage(bytes),
        Kind.Finished => QueueEncoding.DecodeFinished(bytes),
        Kind.Members => QueueEncoding.DecodeMembers(bytes),
        Kind.Suspension => QueueEncoding.DecodeSuspension(bytes),
        Kind.Removal => QueueEncoding.DecodeRemoval(bytes),
        Kind.Limits => LimitEncoding.DecodeRecords(bytes),
        Kind.End => QueueEncoding.DecodeEnd(bytes),
        _ => throw new InvalidDataException($"A snapshot of the queue has a record of kind {(byte)kind}, which this version does not know."),
    });
}
