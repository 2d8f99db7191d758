using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using CsCheck;
using Quorumail.Core.Cluster;

namespace Quorumail.Core.Tests.Cluster;

public sealed class HandshakeTests
{
    private static readonly PeerIntroduction Node1 =
        new("node1", 11, 5, new Guid("00112233-4455-6677-8899-aabbccddeeff"), 3, 1, "node1:9000", ConnectionPurpose.Frames, IsAuthenticating: false);

    private static readonly PeerIntroduction Node2 = Node1 with { NodeId = "node2", Process = 22, Incarnation = 0, ClusterId = Guid.Empty, Address = "" };

    [Theory]
    [InlineData("a", "a")]
    [InlineData("a,b", "a")]
    [InlineData("a", "b,a")]
    [InlineData("a,b", "b,c")]
    [InlineData("", "")]
    public void Nodes_with_a_token_in_common_open_a_connection(string dialling, string listening)
    {
        var (dial, listen) = Meet(Tokens(dialling), Tokens(listening));

        Assert.Equal((HandshakeStepKind.Open, HandshakeStepKind.Open), (dial.Last.Kind, listen.Last.Kind));
        Assert.Equal(Node2 with { IsAuthenticating = dialling.Length > 0, Purpose = ConnectionPurpose.Bulk }, dial.Handshake.Peer);
        Assert.Equal(Node1 with { IsAuthenticating = dialling.Length > 0, Purpose = ConnectionPurpose.Bulk }, listen.Handshake.Peer);
    }

    [Theory]
    [InlineData("a", "b", RefusalReason.Token)]
    [InlineData("a,b", "c", RefusalReason.Token)]
    [InlineData("a", "", RefusalReason.AuthenticationMismatch)]
    [InlineData("", "a", RefusalReason.AuthenticationMismatch)]
    public void Others_are_refused_with_the_reason_on_both_sides(string dialling, string listening, RefusalReason reason)
    {
        var (dial, listen) = Meet(Tokens(dialling), Tokens(listening));

        Assert.Equal(reason, dial.Last.Reason);
        Assert.Equal(reason, listen.Last.Reason);
        Assert.Equal(listen.Last.Text, dial.Last.Text);
        Assert.Contains("node1", dial.Last.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_go_between_with_another_certificate_opens_nothing()
    {
        var (dial, listen) = Meet(["a"], ["a"], SHA256.HashData("go-between"u8), SHA256.HashData("node2"u8));

        Assert.Equal((RefusalReason.Token, RefusalReason.Token), (dial.Last.Reason, listen.Last.Reason));
    }

    [Fact]
    public void A_recorded_handshake_opens_nothing()
    {
        var recorded = new List<byte[]>();
        Meet(["a"], ["a"], record: recorded);
        var listen = new Side(Handshake.Listen(Node2, ["a"], Nonce(99), default));
        foreach (var frame in recorded)
        {
            if (listen.Last.Kind is not (HandshakeStepKind.Open or HandshakeStepKind.Refuse))
            {
                listen.Take(frame);
            }
        }

        Assert.Equal(RefusalReason.Token, listen.Last.Reason);
    }

    [Fact]
    public void A_proof_sent_back_to_its_maker_opens_nothing()
    {
        // The false node has no token and answers the dialling node with the proof that it has just had from it.
        var dial = Handshake.Dial(Node1, ["a"], Nonce(1), default);
        var challenge = FrameCodec.Write(FrameType.Challenge, (Node2 with { IsAuthenticating = true }).Write(Nonce(2)));
        var proof = dial.Next(FrameType.Challenge, challenge.AsSpan(FrameLimits.HeaderSize));
        var answer = dial.Next(FrameType.Accept, proof.Frame.Span[FrameLimits.HeaderSize..]);

        Assert.Equal((HandshakeStepKind.Refuse, RefusalReason.Token), (answer.Kind, answer.Reason));
    }

    [Fact]
    public void The_token_is_in_no_frame()
    {
        var recorded = new List<byte[]>();
        Meet(["a very secret token"], ["a very secret token"], record: recorded);

        Assert.DoesNotContain(recorded, frame => frame.AsSpan().IndexOf("secret"u8) >= 0);
        Assert.True(recorded.Sum(frame => frame.Length) < FrameLimits.HandshakeMax);
    }

    [Fact]
    public void Any_changed_bit_is_refused() =>
        Gen.Select(Gen.Int[0, 4], Gen.Int[0, 10_000]).Sample((frameNumber, bit) =>
        {
            var (dial, listen) = Meet(["a", "b"], ["a"], change: (number, frame) =>
            {
                // Which frame it is and how long stands outside of what is proven; the second token's proof is spare.
                if (number == frameNumber && frame.Length > FrameLimits.HeaderSize)
                {
                    var length = number == 2 ? 32 : frame.Length - FrameLimits.HeaderSize;
                    frame[FrameLimits.HeaderSize + ((bit / 8) % length)] ^= (byte)(1 << (bit % 8));
                    return true;
                }

                return false;
            });
            return dial.Changed || listen.Changed
                ? dial.Last.Kind != HandshakeStepKind.Open && listen.Last.Kind != HandshakeStepKind.Open
                : dial.Last.Kind == HandshakeStepKind.Open && listen.Last.Kind == HandshakeStepKind.Open;
        });

    [Fact]
    public void A_later_version_is_understood_if_it_still_speaks_ours()
    {
        var later = (Node1 with { IsAuthenticating = true }).Write(Nonce(1));
        later[0] = 9;
        byte[] longer = [.. later, 1, 2, 3];
        Assert.Equal(HandshakeStepKind.Send, Handshake.Listen(Node2, ["a"], Nonce(2), default).Next(FrameType.Hello, longer).Kind);

        later[1] = 2;
        var refused = Handshake.Listen(Node2, ["a"], Nonce(2), default).Next(FrameType.Hello, later);
        Assert.Equal((HandshakeStepKind.Refuse, RefusalReason.Version), (refused.Kind, refused.Reason));
        Assert.Equal("it speaks versions 2 to 9 of the protocol, this node 1 to 1", refused.Text);
    }

    [Fact]
    public void A_refusal_is_one_printable_line()
    {
        var step = Handshake.ReadRefusal([200, .. "a\r\nb\e[31m"u8, 0xff]);

        Assert.Equal(new HandshakeStep(HandshakeStepKind.Refused, default, RefusalReason.Unknown, "a??b?[31m?"), step);
    }

    [Fact]
    public void Frames_out_of_order_are_refused()
    {
        foreach (var type in new[] { FrameType.Challenge, FrameType.Proof, FrameType.Accept })
        {
            Assert.Equal(RefusalReason.Malformed, Handshake.Listen(Node2, ["a"], Nonce(2), default).Next(type, new byte[200]).Reason);
        }

        foreach (var type in new[] { FrameType.Hello, FrameType.Proof, FrameType.Accept })
        {
            Assert.Equal(RefusalReason.Malformed, Handshake.Dial(Node2, ["a"], Nonce(2), default).Next(type, new byte[200]).Reason);
        }
    }

    [Fact]
    public void Whatever_arrives_is_refused_or_read() =>
        Gen.Select(Gen.Int[0, 300], Gen.Byte.Array[0, 300], Gen.Bool).Sample((cut, noise, isHello) =>
        {
            var body = Node1.Write(Nonce(1));
            byte[] octets = [.. body.AsSpan(0, Math.Min(cut, body.Length)), .. noise];
            var type = isHello ? FrameType.Hello : FrameType.Refuse;
            var step = Handshake.Listen(Node2, [], Nonce(2), default).Next(type, octets);
            return step.Text.All(c => c is >= ' ' and <= '~') && step.Kind is HandshakeStepKind.Send or HandshakeStepKind.Refuse or HandshakeStepKind.Refused;
        });

    private static string[] Tokens(string text) => text.Split(',', StringSplitOptions.RemoveEmptyEntries);

    private static byte[] Nonce(int number)
    {
        var nonce = new byte[PeerIntroduction.NonceSize];
        BinaryPrimitives.WriteInt32BigEndian(nonce, number);
        return nonce;
    }

    private static (Side Dial, Side Listen) Meet(
        string[] dialling,
        string[] listening,
        byte[]? diallingChannel = null,
        byte[]? listeningChannel = null,
        List<byte[]>? record = null,
        Func<int, byte[], bool>? change = null)
    {
        var dial = new Side(Handshake.Dial(Node1 with { Purpose = ConnectionPurpose.Bulk }, dialling, Nonce(1), diallingChannel));
        var listen = new Side(Handshake.Listen(Node2, listening, Nonce(2), listeningChannel));
        var frame = dial.Handshake.HelloFrame().ToArray();
        for (var (number, to) = (0, listen); frame.Length > 0; number++, to = to == listen ? dial : listen)
        {
            to.Changed |= change?.Invoke(number, frame) ?? false;
            if (to == listen)
            {
                record?.Add(frame);
            }

            frame = to.Take(frame);
        }

        return (dial, listen);
    }

    private sealed class Side(Handshake handshake)
    {
        public Handshake Handshake { get; } = handshake;

        public HandshakeStep Last { get; private set; }

        public bool Changed { get; set; }

        public byte[] Take(byte[] frame)
        {
            var input = new ReadOnlySequence<byte>(frame);
            Assert.Equal(FrameStatus.Complete, FrameCodec.Read(ref input, isAuthenticated: false, out var type, out var body));
            Last = Handshake.Next(type, body.ToArray());
            if (Last.Kind == HandshakeStepKind.Judge)
            {
                Last = Handshake.Admit();
            }

            return Last.Frame.ToArray();
        }
    }
}
