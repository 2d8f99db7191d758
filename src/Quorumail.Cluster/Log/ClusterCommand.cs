using System.Buffers.Binary;
using System.Text;

namespace Quorumail.Cluster.Log;

/// <summary>
/// The cluster's own commands as bytes: a kind, then its fields, little-endian; texts are their length (2 bytes) and UTF-8.
/// </summary>
internal static class ClusterCommand
{
    /// <summary>What a command does.</summary>
    public enum Kind : byte
    {
        /// <summary>The proposer waits for nothing below a number.</summary>
        Acknowledge = 1,

        /// <summary>Gives a new disk an incarnation; the answer is its number (4 bytes).</summary>
        Admit = 2,

        /// <summary>An incarnation is gone for good: nothing that it proposed is applied from here on.</summary>
        Strike = 3,

        /// <summary>All members know a feature level: commands that need it may be written.</summary>
        RaiseFeatureLevel = 4,

        /// <summary>Where an incarnation is reached.</summary>
        Locate = 5,

        /// <summary>Carries nothing but the entry's stamp.</summary>
        Stamp = 6,
    }

    /// <summary>See <see cref="Kind.Acknowledge"/>.</summary>
    public static byte[] Acknowledge(ulong lowest)
    {
        byte[] bytes = new byte[9];
        bytes[0] = (byte)Kind.Acknowledge;
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(1), lowest);
        return bytes;
    }

    /// <summary>See <see cref="Kind.Admit"/>.</summary>
    /// <param name="nodeId">The node's name.</param>
    /// <param name="address">Where peers reach it.</param>
    /// <param name="disk">Made by the node for this disk, so that asking twice gives one incarnation.</param>
    /// <param name="incarnation">0 for the next number; a founder's number otherwise.</param>
    public static byte[] Admit(string nodeId, string address, Guid disk, int incarnation = 0) => Write(Kind.Admit, writer =>
    {
        writer.Write(incarnation);
        writer.Write(disk.ToByteArray());
        WriteText(writer, nodeId);
        WriteText(writer, address);
    });

    /// <summary>See <see cref="Kind.Strike"/>.</summary>
    public static byte[] Strike(int incarnation) => Write(Kind.Strike, writer => writer.Write(incarnation));

    /// <summary>See <see cref="Kind.RaiseFeatureLevel"/>.</summary>
    public static byte[] RaiseFeatureLevel(int level) => Write(Kind.RaiseFeatureLevel, writer => writer.Write(level));

    /// <summary>See <see cref="Kind.Locate"/>.</summary>
    public static byte[] Locate(int incarnation, string address) => Write(Kind.Locate, writer =>
    {
        writer.Write(incarnation);
        WriteText(writer, address);
    });

    /// <summary>See <see cref="Kind.Stamp"/>.</summary>
    public static byte[] Stamp() => [(byte)Kind.Stamp];

    /// <summary>Writes a text as these commands and the cluster's own files hold it.</summary>
    public static void WriteText(BinaryWriter writer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        writer.Write(checked((ushort)bytes.Length));
        writer.Write(bytes);
    }

    /// <summary>Reads what <see cref="WriteText"/> wrote.</summary>
    public static string ReadText(BinaryReader reader) => Encoding.UTF8.GetString(reader.ReadBytes(reader.ReadUInt16()));

    private static byte[] Write(Kind kind, Action<BinaryWriter> fields)
    {
        using MemoryStream stream = new();
        using BinaryWriter writer = new(stream);
        writer.Write((byte)kind);
        fields(writer);
        writer.Flush();
        return stream.ToArray();
    }
}
