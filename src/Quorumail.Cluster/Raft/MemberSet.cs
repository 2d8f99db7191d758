using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Net;
using System.Text;
using DotNext.IO;
using DotNext.Net.Cluster.Consensus.Raft.Membership;
using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// The cluster's members, each a logical end point of node name and incarnation. As bytes, little-endian: version byte,
/// number of members (4), and for each the incarnation (4), the length of the name (2) and the name in UTF-8; sorted, so
/// that equal sets are equal bytes.
/// </summary>
internal sealed class MemberSet : IClusterConfiguration<EndPoint>
{
    private const byte Version = 1;

    private readonly ImmutableHashSet<EndPoint> _members;
    private readonly byte[] _bytes;

    public MemberSet(IEnumerable<EndPoint> members)
    {
        _members = [.. members];
        _bytes = Encode();
    }

    public IReadOnlySet<EndPoint> Members => _members;

    public long? Length => _bytes.Length;

    public bool IsReusable => true;

    /// <summary>Reads what <see cref="TryGetMemory"/> gives.</summary>
    /// <exception cref="LogFormatException">It is not of a version that this program reads, or damaged.</exception>
    public static MemberSet Decode(ReadOnlySpan<byte> bytes)
    {
        try
        {
            if (bytes[0] != Version)
            {
                throw new LogFormatException($"The list of members is of format {bytes[0]}; this version reads format {Version}.");
            }

            int count = BinaryPrimitives.ReadInt32LittleEndian(bytes[1..]);
            bytes = bytes[5..];
            List<EndPoint> members = [];
            for (int i = 0; i < count; i++)
            {
                int incarnation = BinaryPrimitives.ReadInt32LittleEndian(bytes);
                int length = BinaryPrimitives.ReadUInt16LittleEndian(bytes[4..]);
                members.Add(new DnsEndPoint(Encoding.UTF8.GetString(bytes.Slice(6, length)), incarnation));
                bytes = bytes[(6 + length)..];
            }

            return new MemberSet(members);
        }
        catch (Exception damage) when (damage is ArgumentException or IndexOutOfRangeException)
        {
            throw new LogFormatException("The list of members is damaged.", damage);
        }
    }

    public IClusterConfiguration<EndPoint> Add(EndPoint address) =>
        _members.Contains(address) ? this : new MemberSet(_members.Add(address));

    public IClusterConfiguration<EndPoint> Remove(EndPoint address) =>
        _members.Contains(address) ? new MemberSet(_members.Remove(address)) : this;

    public bool TryGetMemory(out ReadOnlyMemory<byte> memory)
    {
        memory = _bytes;
        return true;
    }

    public ValueTask WriteToAsync<TWriter>(TWriter writer, CancellationToken token)
        where TWriter : IAsyncBinaryWriter => writer.Invoke(_bytes, token);

    private byte[] Encode()
    {
        using MemoryStream stream = new();
        using BinaryWriter writer = new(stream);
        writer.Write(Version);
        writer.Write(_members.Count);
        foreach (DnsEndPoint member in _members.Cast<DnsEndPoint>().OrderBy(m => m.Host, StringComparer.Ordinal).ThenBy(m => m.Port))
        {
            byte[] name = Encoding.UTF8.GetBytes(member.Host);
            writer.Write(member.Port);
            writer.Write(checked((ushort)name.Length));
            writer.Write(name);
        }

        writer.Flush();
        return stream.ToArray();
    }
}
