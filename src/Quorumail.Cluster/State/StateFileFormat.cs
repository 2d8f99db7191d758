using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;
using Quorumail.Core.Cluster.State;

namespace Quorumail.Cluster.State;

/// <summary>
/// How the whole store is laid out, on the disk and between nodes. All numbers are little-endian.
/// <code>
/// header:  "QMSTATE" and format (1), log index (8), version (8), time of the last removal (8), number of entries (8)
/// entry:   length of the key (2), length of the value (4), version (8), modified at (8), expires at (8), key, value
/// trailer: XxHash3 of everything before (8)
/// </code>
/// </summary>
internal static class StateFileFormat
{
    private const byte FormatVersion = 1;
    private const int HeaderSize = 40;
    private const int EntryHeaderSize = 30;
    private const int BufferSize = 1 << 20;

    private static readonly byte[] Magic = "QMSTATE"u8.ToArray();

    /// <summary>Writes the cut in pieces of about 1 MiB.</summary>
    /// <param name="cut">Sorted.</param>
    /// <param name="destination">Whereto.</param>
    /// <param name="token">Ends the writing.</param>
    /// <param name="written">Called after each piece.</param>
    public static async ValueTask WriteAsync(StateCut cut, Stream destination, CancellationToken token, Action? written = null)
    {
        XxHash3 hash = new();
        byte[] buffer = new byte[BufferSize];
        int length = WriteHeader(buffer, cut);
        foreach (StateEntry entry in cut.Entries)
        {
            int needed = EntryHeaderSize + Encoding.UTF8.GetByteCount(entry.Key) + entry.Value.Length;
            if (needed > buffer.Length - length)
            {
                await PassOnAsync();
                buffer = needed > buffer.Length ? new byte[needed] : buffer;
            }

            length += WriteEntry(buffer.AsSpan(length), entry);
        }

        await PassOnAsync();
        BinaryPrimitives.WriteUInt64LittleEndian(buffer, hash.GetCurrentHashAsUInt64());
        await destination.WriteAsync(buffer.AsMemory(0, sizeof(ulong)), token);

        async ValueTask PassOnAsync()
        {
            hash.Append(buffer.AsSpan(0, length));
            await destination.WriteAsync(buffer.AsMemory(0, length), token);
            length = 0;
            written?.Invoke();
        }
    }

    /// <summary>Reads what <see cref="WriteAsync"/> wrote.</summary>
    /// <exception cref="InvalidDataException">Incomplete, damaged, or of a format that this program does not read.</exception>
    public static async ValueTask<(SharedState State, long Index)> ReadAsync(Stream source, StateLimits limits, CancellationToken token)
    {
        XxHash3 hash = new();
        byte[] header = new byte[HeaderSize];
        await ReadAsync(header);
        if (!header.AsSpan(0, Magic.Length).SequenceEqual(Magic))
        {
            throw new InvalidDataException("It does not begin as shared state does.");
        }

        if (header[Magic.Length] != FormatVersion)
        {
            throw new InvalidDataException($"It has format {header[Magic.Length]}; this version reads format {FormatVersion}.");
        }

        long index = BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(8));
        long version = BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(16));
        long lastRemovalAt = BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(24));
        long count = BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(32));
        List<StateEntry> entries = [];
        byte[] entryHeader = new byte[EntryHeaderSize];
        byte[] key = new byte[limits.KeyMax];
        for (long i = 0; i < count; i++)
        {
            await ReadAsync(entryHeader);
            entries.Add(await ReadEntryAsync());
        }

        byte[] trailer = new byte[sizeof(ulong)];
        ulong expected = hash.GetCurrentHashAsUInt64();
        await ReadAsync(trailer);
        if (BinaryPrimitives.ReadUInt64LittleEndian(trailer) != expected)
        {
            throw new InvalidDataException("Its checksum is wrong.");
        }

        return (SharedState.Restore(version, lastRemovalAt, entries, limits), index);

        async ValueTask<StateEntry> ReadEntryAsync()
        {
            int keyLength = BinaryPrimitives.ReadUInt16LittleEndian(entryHeader);
            int valueLength = BinaryPrimitives.ReadInt32LittleEndian(entryHeader.AsSpan(2));
            if (keyLength == 0 || keyLength > limits.KeyMax || valueLength < 0 || valueLength > limits.ValueMax)
            {
                throw new InvalidDataException("It holds an entry that can't be one.");
            }

            byte[] value = new byte[valueLength];
            await ReadAsync(key.AsMemory(0, keyLength));
            await ReadAsync(value);
            return new StateEntry(
                Encoding.UTF8.GetString(key, 0, keyLength),
                value,
                BinaryPrimitives.ReadInt64LittleEndian(entryHeader.AsSpan(6)),
                BinaryPrimitives.ReadInt64LittleEndian(entryHeader.AsSpan(14)),
                BinaryPrimitives.ReadInt64LittleEndian(entryHeader.AsSpan(22)));
        }

        async ValueTask ReadAsync(Memory<byte> destination)
        {
            if (await source.ReadAtLeastAsync(destination, destination.Length, throwOnEndOfStream: false, token) < destination.Length)
            {
                throw new InvalidDataException("It is incomplete.");
            }

            hash.Append(destination.Span);
        }
    }

    private static int WriteHeader(Span<byte> destination, StateCut cut)
    {
        Magic.CopyTo(destination);
        destination[Magic.Length] = FormatVersion;
        BinaryPrimitives.WriteInt64LittleEndian(destination[8..], cut.Index);
        BinaryPrimitives.WriteInt64LittleEndian(destination[16..], cut.Version);
        BinaryPrimitives.WriteInt64LittleEndian(destination[24..], cut.LastRemovalAt);
        BinaryPrimitives.WriteInt64LittleEndian(destination[32..], cut.Entries.Length);
        return HeaderSize;
    }

    private static int WriteEntry(Span<byte> destination, StateEntry entry)
    {
        int keyLength = Encoding.UTF8.GetBytes(entry.Key, destination[EntryHeaderSize..]);
        BinaryPrimitives.WriteUInt16LittleEndian(destination, (ushort)keyLength);
        BinaryPrimitives.WriteInt32LittleEndian(destination[2..], entry.Value.Length);
        BinaryPrimitives.WriteInt64LittleEndian(destination[6..], entry.Version);
        BinaryPrimitives.WriteInt64LittleEndian(destination[14..], entry.ModifiedAt);
        BinaryPrimitives.WriteInt64LittleEndian(destination[22..], entry.ExpiresAt);
        entry.Value.Span.CopyTo(destination[(EntryHeaderSize + keyLength)..]);
        return EntryHeaderSize + keyLength + entry.Value.Length;
    }
}
