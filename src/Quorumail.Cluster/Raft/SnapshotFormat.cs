using System.Buffers.Binary;
using System.IO.Hashing;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// How a snapshot travels: what the states wrote, then a trailer (little-endian) of version byte, highest index that a state is
/// as of (8 bytes), cluster time at the entry that the snapshot stands for (8 bytes), and XxHash3 of everything before.
/// </summary>
internal static class SnapshotFormat
{
    public const int TrailerSize = 1 + 8 + 8 + 8;

    private const byte Version = 1;

    /// <summary>Renders the trailer; <paramref name="hash"/> has seen the contents.</summary>
    public static byte[] Trailer(long stateIndex, long stamp, XxHash3 hash)
    {
        byte[] trailer = new byte[TrailerSize];
        trailer[0] = Version;
        BinaryPrimitives.WriteInt64LittleEndian(trailer.AsSpan(1), stateIndex);
        BinaryPrimitives.WriteInt64LittleEndian(trailer.AsSpan(9), stamp);
        hash.Append(trailer.AsSpan(0, TrailerSize - 8));
        BinaryPrimitives.WriteUInt64LittleEndian(trailer.AsSpan(TrailerSize - 8), hash.GetCurrentHashAsUInt64());
        return trailer;
    }

    /// <summary>Checks a staged snapshot and reads its trailer; leaves the stream at its start.</summary>
    /// <exception cref="InvalidDataException">It is incomplete, damaged, or of a version that this program does not read.</exception>
    public static async ValueTask<(long StateIndex, long Stamp, long Length)> CheckAsync(Stream staged, CancellationToken token)
    {
        long length = staged.Length - TrailerSize;
        if (length < 0)
        {
            throw new InvalidDataException($"The snapshot is incomplete: it has {staged.Length} bytes.");
        }

        XxHash3 hash = new();
        byte[] buffer = new byte[64 << 10];
        staged.Position = 0;
        for (long left = staged.Length - 8; left > 0;)
        {
            int read = await staged.ReadAsync(buffer.AsMemory(0, (int)Math.Min(left, buffer.Length)), token);
            hash.Append(buffer.AsSpan(0, read));
            left -= read;
        }

        byte[] trailer = new byte[TrailerSize];
        staged.Position = length;
        await staged.ReadExactlyAsync(trailer, token);
        if (trailer[0] != Version || BinaryPrimitives.ReadUInt64LittleEndian(trailer.AsSpan(TrailerSize - 8)) != hash.GetCurrentHashAsUInt64())
        {
            throw new InvalidDataException("The snapshot is damaged or of a version that this program does not read.");
        }

        staged.Position = 0;
        return (BinaryPrimitives.ReadInt64LittleEndian(trailer.AsSpan(1)), BinaryPrimitives.ReadInt64LittleEndian(trailer.AsSpan(9)), length);
    }
}
