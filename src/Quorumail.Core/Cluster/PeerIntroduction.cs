using System.Buffers.Binary;
using System.Text;

namespace Quorumail.Core.Cluster;

/// <summary>
/// What a node says first (frames <see cref="FrameType.Hello"/> and <see cref="FrameType.Challenge"/>). Fields that a
/// later version adds behind these are ignored.
/// </summary>
/// <param name="NodeId">Its name.</param>
/// <param name="Process">A random number of its process: tells a node with the same name from oneself.</param>
/// <param name="Generation">Grows when the process says something new of itself: what it said before is over.</param>
/// <param name="ClusterId">The cluster that its disk belongs to; empty for none.</param>
/// <param name="Incarnation">Generation of its disk; 0 for none.</param>
/// <param name="FeatureLevel">The highest feature level that its program knows.</param>
/// <param name="Address">host:port at which peers reach it, or empty.</param>
/// <param name="Purpose">What the connection is for; the listening node repeats the dialling one's.</param>
/// <param name="IsAuthenticating">Whether it has a token and demands one.</param>
public sealed record PeerIntroduction(
    string NodeId,
    ulong Process,
    int Generation,
    Guid ClusterId,
    int Incarnation,
    int FeatureLevel,
    string Address,
    ConnectionPurpose Purpose,
    bool IsAuthenticating)
{
    /// <summary>The version of the protocol that this program speaks.</summary>
    public const byte Version = 1;

    /// <summary>The oldest version that it still speaks.</summary>
    public const byte VersionMin = 1;

    /// <summary>Characters of <see cref="Address"/> at most.</summary>
    public const int AddressMax = 255;

    /// <summary>Bytes of the nonce: as long as the proof.</summary>
    public const int NonceSize = 32;

    // version, oldest version, purpose, flags, nonce, process, cluster, incarnation, feature level, generation
    private const int FixedSize = 4 + NonceSize + 8 + 16 + 4 + 4 + 4;

    /// <summary>The body of the frame.</summary>
    /// <param name="nonce"><see cref="NonceSize"/> random bytes, never used before.</param>
    public byte[] Write(ReadOnlySpan<byte> nonce)
    {
        Invariant.Check(nonce.Length == NonceSize, "a nonce is as long as the proof");
        Invariant.Check(NodeName.IsValid(NodeId) && Address.Length <= AddressMax, "a node introduces itself by a name and an address that fit");
        var body = new byte[FixedSize + 2 + NodeId.Length + Address.Length];
        body[0] = Version;
        body[1] = VersionMin;
        body[2] = (byte)Purpose;
        body[3] = IsAuthenticating ? (byte)1 : (byte)0;
        var rest = body.AsSpan(4);
        nonce.CopyTo(rest);
        rest = rest[NonceSize..];
        BinaryPrimitives.WriteUInt64BigEndian(rest, Process);
        ClusterId.TryWriteBytes(rest[8..], bigEndian: true, out _);
        BinaryPrimitives.WriteInt32BigEndian(rest[24..], Incarnation);
        BinaryPrimitives.WriteInt32BigEndian(rest[28..], FeatureLevel);
        BinaryPrimitives.WriteInt32BigEndian(rest[32..], Generation);
        rest = rest[36..];
        rest[0] = (byte)NodeId.Length;
        Encoding.ASCII.GetBytes(NodeId, rest[1..]);
        rest = rest[(1 + NodeId.Length)..];
        rest[0] = (byte)Address.Length;
        Encoding.ASCII.GetBytes(Address, rest[1..]);
        return body;
    }

    /// <summary>Reads the body of the frame.</summary>
    /// <param name="body">The whole body.</param>
    /// <param name="problem">What is wrong with it, for the log.</param>
    /// <param name="reason">The same, as a reason.</param>
    /// <returns>Null if it can't be taken.</returns>
    public static PeerIntroduction? Read(ReadOnlySpan<byte> body, out RefusalReason reason, out string problem)
    {
        reason = RefusalReason.Malformed;
        problem = "its introduction is not one";
        if (body.Length < 4)
        {
            return null;
        }

        if (body[1] > Version || body[0] < VersionMin)
        {
            reason = RefusalReason.Version;
            problem = $"it speaks versions {body[1]} to {body[0]} of the protocol, this node {VersionMin} to {Version}";
            return null;
        }

        if (body.Length < FixedSize + 2 || body[2] > (byte)ConnectionPurpose.Bulk)
        {
            return null;
        }

        var fields = body[(4 + NonceSize)..];
        var incarnation = BinaryPrimitives.ReadInt32BigEndian(fields[24..]);
        var featureLevel = BinaryPrimitives.ReadInt32BigEndian(fields[28..]);
        var generation = BinaryPrimitives.ReadInt32BigEndian(fields[32..]);
        var rest = fields[36..];
        if (incarnation < 0 || featureLevel < 0 || !ReadText(ref rest, out var nodeId) || !ReadText(ref rest, out var address) || !NodeName.IsValid(nodeId))
        {
            return null;
        }

        return new PeerIntroduction(
            nodeId,
            BinaryPrimitives.ReadUInt64BigEndian(fields),
            generation,
            new Guid(fields.Slice(8, 16), bigEndian: true),
            incarnation,
            featureLevel,
            address,
            (ConnectionPurpose)body[2],
            (body[3] & 1) != 0);
    }

    private static bool ReadText(ref ReadOnlySpan<byte> rest, out string text)
    {
        text = "";
        if (rest.IsEmpty || rest.Length < 1 + rest[0])
        {
            return false;
        }

        var octets = rest.Slice(1, rest[0]);
        rest = rest[(1 + rest[0])..];
        if (octets.ContainsAnyExceptInRange((byte)'!', (byte)'~'))
        {
            return false;
        }

        text = Encoding.ASCII.GetString(octets);
        return true;
    }
}
