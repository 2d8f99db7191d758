using System.Buffers.Binary;
using System.IO.Hashing;
using Quorumail.Cluster.Disk;
using Quorumail.Cluster.Journal;
using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Membership;

/// <summary>
/// What a disk knows before a cluster has numbered it: its own name, and to whom it has promised that it may found the
/// cluster. The promise is given once. The file: version byte, disk (16 bytes), founder's disk (16 bytes, zero without a
/// promise), founder's name (length and UTF-8), XxHash3 of all that.
/// </summary>
/// <param name="Disk">Made at random when the disk was first used.</param>
/// <param name="PromisedTo">The founder's name; empty without a promise.</param>
/// <param name="PromisedDisk">The founder's disk.</param>
internal sealed record DiskMark(Guid Disk, string PromisedTo, Guid PromisedDisk)
{
    private const byte Version = 1;

    /// <summary>Reads the file, or makes one.</summary>
    /// <exception cref="JournalException">It is damaged, or of a version that this program does not read.</exception>
    public static DiskMark ReadOrMake(string path)
    {
        if (!File.Exists(path))
        {
            DiskMark made = new(Guid.NewGuid(), string.Empty, Guid.Empty);
            made.Write(path);
            return made;
        }

        byte[] bytes = File.ReadAllBytes(path);
        if (bytes.Length < 43 || bytes[0] != Version
            || XxHash3.HashToUInt64(bytes.AsSpan(0, bytes.Length - 8)) != BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(bytes.Length - 8)))
        {
            throw new JournalException($"{path} is damaged or of a version that this program does not read. This node's disk counts as wiped.");
        }

        using BinaryReader reader = new(new MemoryStream(bytes, 1, bytes.Length - 9, writable: false));
        Guid disk = new(reader.ReadBytes(16));
        Guid promised = new(reader.ReadBytes(16));
        return new DiskMark(disk, ClusterCommand.ReadText(reader), promised);
    }

    /// <summary>Replaces the file, durably.</summary>
    public void Write(string path)
    {
        using MemoryStream stream = new();
        using BinaryWriter writer = new(stream);
        writer.Write(Version);
        writer.Write(Disk.ToByteArray());
        writer.Write(PromisedDisk.ToByteArray());
        ClusterCommand.WriteText(writer, PromisedTo);
        writer.Flush();
        writer.Write(XxHash3.HashToUInt64(stream.GetBuffer().AsSpan(0, (int)stream.Length)));
        writer.Flush();
        DurableFile.Replace(path, stream.ToArray());
    }
}
