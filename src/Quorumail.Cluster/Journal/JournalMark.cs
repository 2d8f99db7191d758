using System.Buffers.Binary;
using System.IO.Hashing;
using Quorumail.Cluster.Disk;

namespace Quorumail.Cluster.Journal;

/// <summary>
/// The point up to which the journal has forgotten, because the state holds it durably. Its file: version byte, the five
/// numbers (8 bytes each, little-endian), XxHash3 of all that.
/// </summary>
/// <param name="Index">Index of the last forgotten entry; 0 if none is.</param>
/// <param name="Term">Its term.</param>
/// <param name="Stamp">Cluster time at it, in milliseconds: no later, or what follows would be applied again with other stamps.</param>
/// <param name="StateIndex">Entry up to which the state was durable; at least <paramref name="Index"/>.</param>
internal readonly record struct JournalMark(long Index, long Term, long Stamp, long StateIndex)
{
    private const byte Version = 2;
    private const int Size = 1 + (5 * 8) + 8;

    /// <summary>Position up to which local records are durable elsewhere, and are left out when the journal is opened.</summary>
    public long LocalPosition { get; init; }

    /// <summary>Reads a mark; nothing if the file does not exist.</summary>
    /// <exception cref="JournalException">The file is not one of ours, or damaged.</exception>
    public static JournalMark? Read(string path)
    {
        if (!File.Exists(path))
        {
            return null;
        }

        ReadOnlySpan<byte> bytes = File.ReadAllBytes(path);
        if (bytes.Length != Size || bytes[0] != Version
            || XxHash3.HashToUInt64(bytes[..^8]) != BinaryPrimitives.ReadUInt64LittleEndian(bytes[^8..]))
        {
            throw new JournalException($"{path} is damaged or of a version that this program does not read.");
        }

        return new JournalMark(
            BinaryPrimitives.ReadInt64LittleEndian(bytes[1..]),
            BinaryPrimitives.ReadInt64LittleEndian(bytes[9..]),
            BinaryPrimitives.ReadInt64LittleEndian(bytes[17..]),
            BinaryPrimitives.ReadInt64LittleEndian(bytes[25..]))
        {
            LocalPosition = BinaryPrimitives.ReadInt64LittleEndian(bytes[33..]),
        };
    }

    /// <summary>Replaces the file, durably.</summary>
    public void Write(string path)
    {
        Span<byte> bytes = stackalloc byte[Size];
        bytes[0] = Version;
        BinaryPrimitives.WriteInt64LittleEndian(bytes[1..], Index);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[9..], Term);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[17..], Stamp);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[25..], StateIndex);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[33..], LocalPosition);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[^8..], XxHash3.HashToUInt64(bytes[..^8]));
        DurableFile.Replace(path, bytes);
    }
}
