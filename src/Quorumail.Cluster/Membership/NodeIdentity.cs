using System.Buffers.Binary;
using System.IO.Hashing;
using Quorumail.Cluster.Disk;
using Quorumail.Cluster.Journal;
using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Membership;

/// <summary>
/// Who this disk is. The file, little-endian: version byte, cluster id (16 bytes), incarnation (4), life (4), node name
/// (length, 2 bytes, and UTF-8), XxHash3 of all that.
/// </summary>
/// <param name="NodeId">The node's name when the disk was founded or admitted.</param>
/// <param name="ClusterId">The cluster that it belongs to.</param>
/// <param name="Incarnation">What the cluster numbered it.</param>
/// <param name="Life">How often a process has started on it.</param>
internal sealed record NodeIdentity(string NodeId, Guid ClusterId, int Incarnation, int Life)
{
    private const byte Version = 1;

    /// <summary>The first number that this life gives to a proposal; above all of earlier lives.</summary>
    public ulong FirstSequence => (ulong)(uint)Life << 32;

    /// <summary>Reads the file; nothing if there is none.</summary>
    /// <exception cref="JournalException">It is damaged, or of a version that this program does not read.</exception>
    public static NodeIdentity? Read(string path)
    {
        if (!File.Exists(path))
        {
            return null;
        }

        byte[] bytes = File.ReadAllBytes(path);
        if (bytes.Length < 35 || XxHash3.HashToUInt64(bytes.AsSpan(0, bytes.Length - 8)) != BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(bytes.Length - 8)))
        {
            throw new JournalException($"{path} is damaged. This node's disk counts as wiped.");
        }

        using BinaryReader reader = new(new MemoryStream(bytes, writable: false));
        byte version = reader.ReadByte();
        if (version != Version)
        {
            throw new JournalException($"{path} is of format {version}; this version reads format {Version}.");
        }

        Guid cluster = new(reader.ReadBytes(16));
        int incarnation = reader.ReadInt32();
        int life = reader.ReadInt32();
        return new NodeIdentity(ClusterCommand.ReadText(reader), cluster, incarnation, life);
    }

    /// <summary>Replaces the file, durably.</summary>
    public void Write(string path)
    {
        using MemoryStream stream = new();
        using BinaryWriter writer = new(stream);
        writer.Write(Version);
        writer.Write(ClusterId.ToByteArray());
        writer.Write(Incarnation);
        writer.Write(Life);
        ClusterCommand.WriteText(writer, NodeId);
        writer.Flush();
        writer.Write(XxHash3.HashToUInt64(stream.GetBuffer().AsSpan(0, (int)stream.Length)));
        writer.Flush();
        DurableFile.Replace(path, stream.ToArray());
    }
}
