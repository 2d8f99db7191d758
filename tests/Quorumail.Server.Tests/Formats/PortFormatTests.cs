using System.Buffers;
using Quorumail.Cluster.Journal;
using Quorumail.Cluster.Raft;
using Quorumail.Core.Cluster;
using Quorumail.Server.Replication;
using Quorumail.Tests.Formats;

namespace Quorumail.Server.Tests.Formats;

/// <summary>What goes over port 9000: frames, handshake, the guide's messages, entries of the log, bodies. The other questions of nodes: the cluster's own tests.</summary>
public sealed class PortFormatTests
{
    private static readonly PeerIntroduction Dialling = new(
        "node1", 0x0123456789ABCDEF, 2, new Guid("00112233-4455-6677-8899-aabbccddeeff"), 3, 2, "10.0.0.1:9000", ConnectionPurpose.Bulk, IsAuthenticating: true);

    private static readonly PeerIntroduction Listening = new("node2", 1, 1, Guid.Empty, 0, 1, "", ConnectionPurpose.Frames, IsAuthenticating: true);

    [Fact]
    public void The_guides_messages_are_read_and_written_as_ever()
    {
        var file = GoldenFile.Open("messages.golden");
        var metadata = new HeartbeatMetadata("v0.26.0", 3600, 42, 1500, 45.2, 128);
        Message(file, "heartbeat", FrameType.Heartbeat, new Heartbeat("node1", NodeRole.Leader, 1_234_567_890, metadata) { Condition = new NodeCondition(NodeStatus.Degraded, "slow", 7) }, (m, target) => m.Write(target), json => Heartbeat.Read(json));
        Message(file, "heartbeat-of-the-guide", FrameType.Heartbeat, new Heartbeat("node1", NodeRole.Follower, 1_234_567_890, metadata), (m, target) => m.Write(target), json => Heartbeat.Read(json));
        var nearlyFull = new NodeCondition(NodeStatus.Degraded, "full", 7) { IsShortOfSpace = true };
        Message(file, "heartbeat-short-of-space", FrameType.Heartbeat, new Heartbeat("node1", NodeRole.Follower, 1_234_567_890, metadata) { Condition = nearlyFull }, (m, target) => m.Write(target), json => Heartbeat.Read(json));
        var compared = new NodeCondition(NodeStatus.Healthy, "", 700) { State = new StateClaim(512, 0x0123456789ABCDEF) };
        Message(file, "heartbeat-state", FrameType.Heartbeat, new Heartbeat("node1", NodeRole.Follower, 1_234_567_890, metadata) { Condition = compared }, (m, target) => m.Write(target), json => Heartbeat.Read(json));
        Message(file, "state-update", FrameType.StateUpdate, new StateUpdate("k", "v", 1_234_567_890), (m, target) => m.Write(target), json => StateUpdate.Read(json));
        Message(file, "state-deletion", FrameType.StateUpdate, new StateUpdate("k", "", 1_234_567_890, IsDeleted: true), (m, target) => m.Write(target), json => StateUpdate.Read(json));
        Message(file, "election", FrameType.Election, new Election("node1", 3, 1_234_567_890, 7, 2, IsPreVote: true, 4, 11), (m, target) => m.Write(target), json => Election.Read(json));
        Message(file, "vote", FrameType.Vote, new Vote("node2", "node1", IsGranted: true, 3, 11, 5), (m, target) => m.Write(target), json => Vote.Read(json));
        Message(file, "leader-announce", FrameType.LeaderAnnounce, new LeaderAnnounce("node1", 3), (m, target) => m.Write(target), json => LeaderAnnounce.Read(json));
        file.Close();
    }

    [Fact]
    public void The_handshake_says_and_understands_what_it_ever_did()
    {
        var file = GoldenFile.Open("handshake.golden");
        byte[] nonce = [.. Enumerable.Range(0, PeerIntroduction.NonceSize).Select(i => (byte)i)];
        byte[] other = [.. nonce.Select(octet => (byte)(0xFF - octet))];
        var dial = Handshake.Dial(Dialling, ["new-token", "old-token"], nonce, [1, 2, 3]);
        var listen = Handshake.Listen(Listening, ["old-token"], other, [1, 2, 3]);

        file.Writes("hello", dial.HelloFrame().Span);
        var challenge = listen.Next(FrameType.Hello, Body(file["hello"], FrameType.Hello));
        file.Writes("challenge", challenge.Frame.Span);
        var proof = dial.Next(FrameType.Challenge, Body(file["challenge"], FrameType.Challenge));
        file.Writes("proof", proof.Frame.Span);
        Assert.Equal(HandshakeStepKind.Judge, listen.Next(FrameType.Proof, Body(file["proof"], FrameType.Proof)).Kind);
        file.Writes("accept", listen.Admit().Frame.Span);
        Assert.Equal(HandshakeStepKind.Judge, dial.Next(FrameType.Accept, Body(file["accept"], FrameType.Accept)).Kind);
        file.Writes("accept-back", dial.Admit().Frame.Span);
        Assert.Equal(HandshakeStepKind.Open, listen.Next(FrameType.Accept, Body(file["accept-back"], FrameType.Accept)).Kind);
        Assert.Equal(Dialling, listen.Peer);
        Assert.Equal(Listening with { Purpose = ConnectionPurpose.Bulk }, dial.Peer);

        file.Writes("refuse", Handshake.RefuseFrame(RefusalReason.ForeignCluster, "another cluster"));
        var refused = Handshake.ReadRefusal(Body(file["refuse"], FrameType.Refuse));
        Assert.Equal((RefusalReason.ForeignCluster, "another cluster"), (refused.Reason, refused.Text));
        file.Close();
    }

    [Fact]
    public void What_a_later_minor_version_adds_to_an_introduction_is_ignored_and_a_later_major_version_refused()
    {
        var hello = Body(GoldenFile.Open("handshake.golden")["hello"], FrameType.Hello);
        Assert.Equal(Dialling, PeerIntroduction.Read([.. hello, 1, 2, 3], out _, out _));

        // It speaks versions 1 to 9: they agree on 1. It speaks versions 2 to 9: they don't.
        hello[0] = 9;
        Assert.Equal(Dialling, PeerIntroduction.Read(hello, out _, out _));
        hello[1] = 2;
        Assert.Null(PeerIntroduction.Read(hello, out var reason, out var problem));
        Assert.Equal((RefusalReason.Version, "it speaks versions 2 to 9 of the protocol, this node 1 to 1"), (reason, problem));
    }

    [Fact]
    public void Fields_that_a_later_version_adds_to_messages_are_ignored()
    {
        var file = GoldenFile.Open("messages.golden");
        foreach (var (name, type, read) in ((string, FrameType, Func<byte[], object?>)[])
            [
                ("heartbeat", FrameType.Heartbeat, json => Heartbeat.Read(json)),
                ("state-update", FrameType.StateUpdate, json => StateUpdate.Read(json)),
                ("election", FrameType.Election, json => Election.Read(json)),
                ("vote", FrameType.Vote, json => Vote.Read(json)),
                ("leader-announce", FrameType.LeaderAnnounce, json => LeaderAnnounce.Read(json)),
            ])
        {
            var json = Body(file[name], type);
            byte[] later = [.. json[..^1], .. ",\"later\":{\"a\":[1,\"x\"]}}"u8];
            Assert.NotNull(read(json));
            Assert.Equal(read(json), read(later));
        }
    }

    [Fact]
    public void Entries_of_the_log_are_read_and_written_as_ever()
    {
        var file = GoldenFile.Open("append.golden");
        JournalEntry[] entries = [new(8, 2, RecordKind.Commands, new byte[] { 1, 2 }, null), new(9, 3, RecordKind.Configuration, new byte[] { 3 }, null), new(10, 3, RecordKind.Commands, default, null)];
        using (var frame = AppendFrame.Write(4, 3, entries, 7, 2, 6))
        {
            file.Writes("entries", frame.Body.Span);
        }

        using (var frame = AppendFrame.Write(4, 3, [], 7, 2, 6))
        {
            file.Writes("none", frame.Body.Span);
        }

        var read = AppendFrame.Read(file["entries"]);
        Assert.Equal((4, 3, 7, 2, 6), (read.ToIncarnation, read.Term, read.PreviousIndex, read.PreviousTerm, read.CommitIndex));
        Assert.Equal(entries.Select(e => (e.Term, e.Kind == RecordKind.Configuration, Convert.ToHexString(e.Payload.Span))), read.Entries.Select(Entry));
        Assert.Empty(AppendFrame.Read(file["none"]).Entries);
        file.Close();
    }

    [Fact]
    public void Bodies_are_asked_for_and_sent_as_ever()
    {
        var file = GoldenFile.Open("body-frames.golden");
        var store = new byte[BodyFrame.HeaderLength + (2 * BodyFrame.PieceHeaderLength) + 3];
        BodyFrame.WriteHeader(store, BodyFrame.Store, 70_000);
        var length = BodyFrame.HeaderLength;
        length += BodyFrame.WritePiece(store.AsSpan(length), 0, QueueFormatTests.Id, 2, [1, 2]);
        BodyFrame.WritePiece(store.AsSpan(length), BodyFrame.Again, QueueFormatTests.Other, BodyFrame.Head, [3]);
        file.Writes("store", store);
        ReadOnlyMemory<byte> rest = file["store"];
        Assert.True(BodyFrame.TryReadHeader(ref rest, 70_000, out var kind));
        Assert.Equal(BodyFrame.Store, kind);
        Assert.True(BodyFrame.TryReadPiece(ref rest, out var flags, out var id, out var number, out var record));
        Assert.Equal((0, QueueFormatTests.Id, 2u, "0102"), (flags, id, number, Convert.ToHexString(record.Span)));
        Assert.True(BodyFrame.TryReadPiece(ref rest, out flags, out id, out number, out record));
        Assert.Equal((BodyFrame.Again, QueueFormatTests.Other, BodyFrame.Head, "03"), (flags, id, number, Convert.ToHexString(record.Span)));

        file.Writes("fetch", BodyFrame.FetchOf(70_000, QueueFormatTests.Id, 2));
        rest = file["fetch"];
        Assert.True(BodyFrame.TryReadHeader(ref rest, 70_000, out kind));
        Assert.True(BodyFrame.TryReadName(rest.Span, out id, out number));
        Assert.Equal((BodyFrame.Fetch, QueueFormatTests.Id, 2u), (kind, id, number));
        file.Close();
    }

    private static (long, bool, string) Entry(JournalLogEntry entry)
    {
        entry.TryGetMemory(out var payload);
        return (entry.Term, entry.IsConfiguration, Convert.ToHexString(payload.Span));
    }

    private static void Message<T>(GoldenFile file, string name, FrameType type, T message, Action<T, IBufferWriter<byte>> write, Func<byte[], T?> read)
        where T : class
    {
        var body = new ArrayBufferWriter<byte>();
        write(message, body);
        file.Writes(name, FrameCodec.Write(type, body.WrittenSpan));
        file.Reads<T?>(name, message, frame => read(Body(frame, type)));
    }

    private static byte[] Body(byte[] frame, FrameType expected)
    {
        var input = new ReadOnlySequence<byte>(frame);
        Assert.Equal(FrameStatus.Complete, FrameCodec.Read(ref input, expected < FrameType.Hello || expected > FrameType.Refuse, out var type, out var body));
        Assert.Equal((expected, 0L), (type, input.Length));
        return body.ToArray();
    }
}
