using System.Buffers;
using System.Buffers.Binary;
using System.IO.Hashing;
using Quorumail.Core.Limits;
using Quorumail.Core.Queue;
using Quorumail.Server.Limits.Format;
using Quorumail.Server.Queue.Format;

namespace Quorumail.Server.Queue;

/// <summary>
/// The whole queue, with the limits, as a stream, version 1: "QMQ1", then records of kind (1 byte), length (4 bytes, little-endian) and
/// bytes, the last of which is the end with index and count; then XxHash128 of all before (16 bytes).
/// </summary>
internal static class QueueSnapshot
{
    private const int HeaderLength = 5;
    private const int RecordMax = 64 << 20;
    private const int HashLength = 16;

    private static readonly byte[] Magic = "QMQ1"u8.ToArray();

    /// <summary>Writes a queue.</summary>
    /// <param name="records">As of one moment.</param>
    /// <param name="limits">As of the same moment; null for none.</param>
    /// <param name="index">The log entry of that moment.</param>
    /// <param name="destination">Written in order; not flushed.</param>
    /// <param name="token">Ends the writing.</param>
    public static async ValueTask SaveAsync(QueueRecords records, LimitRecords? limits, long index, Stream destination, CancellationToken token)
    {
        var hash = new XxHash128();
        var count = 0L;
        hash.Append(Magic);
        await destination.WriteAsync(Magic, token);
        await WriteAsync(QueueSnapshotRecord.Kind.Marks, QueueEncoding.Encode(records.Marks));
        if (records.Members is { } members)
        {
            await WriteAsync(QueueSnapshotRecord.Kind.Members, QueueEncoding.Encode(members));
        }

        foreach (var suspension in records.Suspensions)
        {
            await WriteAsync(QueueSnapshotRecord.Kind.Suspension, QueueEncoding.Encode(suspension));
        }

        foreach (var removal in records.Removals)
        {
            await WriteAsync(QueueSnapshotRecord.Kind.Removal, QueueEncoding.Encode(removal));
        }

        foreach (var epoch in records.OwnerEpochs)
        {
            await WriteAsync(QueueSnapshotRecord.Kind.OwnerEpoch, QueueEncoding.Encode(epoch));
        }

        foreach (var tombstone in records.Tombstones)
        {
            await WriteAsync(QueueSnapshotRecord.Kind.Tombstone, QueueEncoding.Encode(tombstone));
        }

        foreach (var suspect in records.Suspects)
        {
            await WriteAsync(QueueSnapshotRecord.Kind.Suspect, QueueEncoding.Encode(suspect));
        }

        foreach (var finished in records.Finished)
        {
            await WriteAsync(QueueSnapshotRecord.Kind.Finished, QueueEncoding.Encode(finished));
        }

        foreach (var message in records.Messages)
        {
            await WriteAsync(QueueSnapshotRecord.Kind.Message, QueueEncoding.Encode(message));
        }

        if (limits is not null)
        {
            await WriteAsync(QueueSnapshotRecord.Kind.Limits, LimitEncoding.Encode(limits));
        }

        await WriteAsync(QueueSnapshotRecord.Kind.End, QueueEncoding.EncodeEnd(index, count));
        await destination.WriteAsync(hash.GetCurrentHash(), token);

        async ValueTask WriteAsync(QueueSnapshotRecord.Kind kind, byte[] bytes)
        {
            var header = new byte[HeaderLength];
            header[0] = (byte)kind;
            BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(1), bytes.Length);
            hash.Append(header);
            hash.Append(bytes);
            count++;
            await destination.WriteAsync(header, token);
            await destination.WriteAsync(bytes, token);
        }
    }

    /// <summary>Reads a queue. Nothing of it may be believed before the last record has come: only then the hash has been verified.</summary>
    /// <param name="source">Read in order, and not beyond the end of the snapshot.</param>
    /// <param name="token">Ends the reading.</param>
    /// <exception cref="InvalidDataException">Cut off, or damaged.</exception>
    /// <exception cref="NewerFormatException">A later version wrote it.</exception>
    public static async IAsyncEnumerable<QueueSnapshotRecord> ReadAsync(
        Stream source, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken token)
    {
        var hash = new XxHash128();
        var buffer = ArrayPool<byte>.Shared.Rent(64 << 10);
        try
        {
            await ReadExactlyAsync(source, buffer.AsMemory(0, Magic.Length), token);
            if (!buffer.AsSpan(0, Magic.Length).SequenceEqual(Magic))
            {
                throw new InvalidDataException("This is no snapshot of a queue that this version can read.");
            }

            hash.Append(Magic);
            var count = 0L;
            while (true)
            {
                await ReadExactlyAsync(source, buffer.AsMemory(0, HeaderLength), token);
                hash.Append(buffer.AsSpan(0, HeaderLength));
                var kind = (QueueSnapshotRecord.Kind)buffer[0];
                var length = BinaryPrimitives.ReadInt32LittleEndian(buffer.AsSpan(1));
                if (length is < 0 or > RecordMax)
                {
                    throw new InvalidDataException($"A snapshot of the queue is damaged: a record of {length} bytes.");
                }

                if (buffer.Length < length)
                {
                    ArrayPool<byte>.Shared.Return(buffer);
                    buffer = ArrayPool<byte>.Shared.Rent(length);
                }

                await ReadExactlyAsync(source, buffer.AsMemory(0, length), token);
                hash.Append(buffer.AsSpan(0, length));
                var record = QueueSnapshotRecord.Decode(kind, buffer.AsSpan(0, length));
                if (kind == QueueSnapshotRecord.Kind.End)
                {
                    await ReadExactlyAsync(source, buffer.AsMemory(0, HashLength), token);
                    if (((long Index, long Records))record.Value is var (_, records) && records != count
                        || !hash.GetCurrentHash().AsSpan().SequenceEqual(buffer.AsSpan(0, HashLength)))
                    {
                        throw new InvalidDataException("A snapshot of the queue is damaged: it does not have its hash.");
                    }

                    yield return record;
                    yield break;
                }

                count++;
                yield return record;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static async ValueTask ReadExactlyAsync(Stream source, Memory<byte> buffer, CancellationToken token)
    {
        try
        {
            await source.ReadExactlyAsync(buffer, token);
        }
        catch (EndOfStreamException error)
        {
            throw new InvalidDataException("A snapshot of the queue is cut off.", error);
        }
    }
}
