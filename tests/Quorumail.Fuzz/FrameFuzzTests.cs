using System.Buffers;
using System.Text;
using Quorumail.Core.Cluster;

namespace Quorumail.Fuzz;

/// <summary>Bounded fuzzing of port 9000.</summary>
public sealed class FrameFuzzTests(ITestOutputHelper output)
{
    private static readonly byte[][] Bodies =
    [
        Of(0, new Heartbeat("node1", NodeRole.Leader, 1234567890, new HeartbeatMetadata("v0.26.0", 3600, 42, 1500, 45.2, 128)).Write),
        Of(1, new StateUpdate("rate_limit_192.168.1.100", "45", 1234567890).Write),
        Of(1, new StateUpdate("k", "", 1, IsDeleted: true).Write),
        Of(2, new Election("node2", 7, 1234567890, 100, 6, IsPreVote: true, 1, 5).Write),
        Of(3, new Vote("node1", "node2", IsGranted: true, 7, 5, 1).Write),
        Of(4, new LeaderAnnounce("node2", 7).Write),
    ];

    private static readonly byte[][] Streams =
    [
        [0, .. FrameCodec.Write(FrameType.Heartbeat, Bodies[0]), .. FrameCodec.Write(FrameType.Append, new byte[300])],
        [2, .. FrameCodec.Write(FrameType.Ping, new byte[8]), .. FrameCodec.Write(FrameType.Pong, new byte[8]), .. FrameCodec.Write(FrameType.Vote, Bodies[4])],
        [5, .. FrameCodec.Write(FrameType.Hello, new byte[90]), .. FrameCodec.Write(FrameType.Proof, new byte[65])],
        [0, 34, 0, 16, 0, 0, 1, 2, 3],
        [0, 1, 255, 255, 255, 255],
    ];

    private static readonly byte[][] Addresses =
        [.. new[] { "node2:9000", " 192.168.1.101:9000", "[2001:db8::2]:9000", "::1", "a.b.c." }.Select(Encoding.ASCII.GetBytes)];

    private static readonly byte[][] Words =
    [
        [0, 0, 0, 0], [0, 0, 0, 1], [0, 16, 0, 0], [0, 16, 0, 1], [127, 255, 255, 255], [255, 255, 255, 255], [128, 0, 0, 0], [16], [20], [34], [22, 3, 1],
        .. new[]
        {
            "{", "}", "[[[[[[[[", "]", ":", ",", "\"", "\\u0000", "\\ud800", "null", "true", "-1", "1e400", "9223372036854775808", "\"term\":", "\"deleted\":true",
            "\"node_id\":", "\"metadata\":{", "0.5", "[::", "%", "65536", ".",
        }.Select(Encoding.ASCII.GetBytes),
    ];

    [Fact]
    public void Frames_are_bounded_and_read_the_same_however_they_arrive() => Run(Streams, data => FrameTargets.Frames(data));

    [Fact]
    public void A_message_is_refused_or_means_one_thing() => Run(Bodies, data => FrameTargets.Messages(data));

    [Fact]
    public void An_address_is_read_or_named() => Run(Addresses, data => FrameTargets.Address(data));

    private static byte[] Of(byte type, Action<IBufferWriter<byte>> write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        write(buffer);
        return [type, .. buffer.WrittenSpan];
    }

    private void Run(byte[][] corpus, Action<byte[]> target) => FuzzRun.Of(corpus, Words, target, output);
}
