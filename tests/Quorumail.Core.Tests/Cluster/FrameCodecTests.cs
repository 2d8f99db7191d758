using System.Buffers;
using CsCheck;
using Quorumail.Core.Cluster;
using Quorumail.Core.Tests.Smtp;

namespace Quorumail.Core.Tests.Cluster;

public sealed class FrameCodecTests
{
    private static readonly FrameType[] OpenTypes = [.. Enum.GetValues<FrameType>().Where(type => !FrameCodec.IsHandshake(type))];

    private static readonly Gen<(FrameType Type, byte[] Body)> Frame =
        Gen.Select(Gen.Int[0, OpenTypes.Length - 1].Select(i => OpenTypes[i]), Gen.Byte.Array[0, 300]);

    [Fact]
    public void A_frame_is_type_length_and_body_as_the_guide_draws_it() =>
        Assert.Equal([1, 0, 0, 0, 2, (byte)'{', (byte)'}'], FrameCodec.Write(FrameType.Heartbeat, "{}"u8));

    [Fact]
    public void Any_split_of_the_bytes_gives_the_same_frames() =>
        Gen.Select(Frame.Array[0, 10], Gen.Int[1, 40], Gen.Int[1, 40]).Sample((frames, pieceLength, segmentLength) =>
        {
            var wire = frames.SelectMany(frame => FrameCodec.Write(frame.Type, frame.Body)).ToArray();
            var read = new List<(FrameType Type, byte[] Body)>();
            var pending = Array.Empty<byte>();
            foreach (var piece in wire.Chunk(pieceLength))
            {
                var input = Segments.Of([.. pending, .. piece], segmentLength);
                while (FrameCodec.Read(ref input, isAuthenticated: true, out var type, out var body) == FrameStatus.Complete)
                {
                    read.Add((type, body.ToArray()));
                }

                pending = input.ToArray();
            }

            return pending.Length == 0 && read.Count == frames.Length
                && read.Zip(frames).All(pair => pair.First.Type == pair.Second.Type && pair.First.Body.AsSpan().SequenceEqual(pair.Second.Body));
        });

    [Theory]
    [InlineData(1, 0x00100001u)]
    [InlineData(1, 0x7fffffffu)]
    [InlineData(34, 0x80000000u)]
    [InlineData(34, 0xffffffffu)]
    public void A_length_above_the_limit_is_refused_before_a_byte_of_the_body(byte type, uint length) =>
        Assert.Equal(FrameStatus.TooLong, Header(isAuthenticated: true, type, (byte)(length >> 24), (byte)(length >> 16), (byte)(length >> 8), (byte)length));

    [Fact]
    public void A_body_may_be_exactly_as_long_as_the_limit() =>
        Assert.Equal(FrameStatus.Complete, Header(isAuthenticated: true, 34, 0, 0x10, 0, 0));

    [Fact]
    public void Before_authentication_a_frame_has_one_kibibyte()
    {
        Assert.Equal(FrameStatus.Complete, Header(isAuthenticated: false, 16, 0, 0, 3, 0xfb));
        Assert.Equal(FrameStatus.TooLong, Header(isAuthenticated: false, 16, 0, 0, 3, 0xfc));
    }

    [Fact]
    public void An_unknown_type_is_refused_at_its_first_byte()
    {
        var known = Enum.GetValues<FrameType>().Select(type => (byte)type).ToHashSet();
        for (var type = 0; type <= 255; type++)
        {
            var isKnown = known.Contains((byte)type);
            Assert.Equal(isKnown, FrameCodec.IsKnown((FrameType)type));
            Assert.Equal(!isKnown, Header(isAuthenticated: true, (byte)type) == FrameStatus.UnknownType);
        }
    }

    [Fact]
    public void Handshake_and_conversation_do_not_mix()
    {
        foreach (var type in Enum.GetValues<FrameType>())
        {
            Assert.Equal(FrameCodec.IsHandshake(type), Header(isAuthenticated: true, (byte)type) == FrameStatus.OutOfPlace);
            Assert.Equal(!FrameCodec.IsHandshake(type), Header(isAuthenticated: false, (byte)type) == FrameStatus.OutOfPlace);
        }
    }

    [Fact]
    public void What_asks_is_even_and_what_answers_is_odd()
    {
        foreach (var type in Enum.GetValues<FrameType>().Where(type => type >= FrameType.Ping))
        {
            Assert.NotEqual(FrameCodec.IsQuestion(type), FrameCodec.IsAnswer(type));
            Assert.True(!FrameCodec.IsQuestion(type) || Enum.IsDefined(type + 1));
        }

        Assert.False(FrameCodec.IsQuestion(FrameType.StateUpdate) || FrameCodec.IsAnswer(FrameType.Heartbeat));
    }

    [Fact]
    public void A_body_above_the_limit_is_not_written() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => FrameCodec.Write(FrameType.Append, new byte[FrameLimits.BodyMax + 1]));

    private static FrameStatus Header(bool isAuthenticated, params byte[] octets) =>
        FrameCodec.ReadHeader(new ReadOnlySequence<byte>(octets), isAuthenticated, out _);
}
