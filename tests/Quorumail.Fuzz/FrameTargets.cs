using System.Buffers;
using System.Text;
using Quorumail.Core.Cluster;

namespace Quorumail.Fuzz;

/// <summary>What hostile octets can reach on port 9000, one method a target, in the form that SharpFuzz runs.</summary>
public static class FrameTargets
{
    /// <summary>A stream of frames, whole and in pieces; the first octet says whether it is authenticated, and the pieces' length.</summary>
    public static void Frames(ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty)
        {
            return;
        }

        var isAuthenticated = (data[0] & 1) == 0;
        var pieceLength = (data[0] >> 1) + 1;
        var octets = data[1..].ToArray();
        var whole = Read(octets, octets.Length, isAuthenticated);
        var pieces = Read(octets, pieceLength, isAuthenticated);
        Check(whole.SequenceEqual(pieces), "frames read the same however they arrive");
    }

    /// <summary>The body of a JSON message; the first octet says of which type.</summary>
    public static void Messages(ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty)
        {
            return;
        }

        var body = data[1..];
        var written = new ArrayBufferWriter<byte>();
        switch ((FrameType)((data[0] % 5) + 1))
        {
            case FrameType.Heartbeat when Heartbeat.Read(body) is { } message:
                message.Write(written);
                var rounded = message with { Metadata = message.Metadata with { CpuUsage = Math.Round(message.Metadata.CpuUsage, 1) } };
                Check(Heartbeat.Read(written.WrittenSpan) == rounded, "a heartbeat reads back");
                break;
            case FrameType.StateUpdate when StateUpdate.Read(body) is { } message:
                message.Write(written);
                Check(StateUpdate.Read(written.WrittenSpan) == message, "a state update reads back");
                break;
            case FrameType.Election when Election.Read(body) is { } message:
                message.Write(written);
                Check(message.Term >= 0 && NodeName.IsValid(message.CandidateId), "a term is a number and a candidate has a name");
                Check(Election.Read(written.WrittenSpan) == message, "an election reads back");
                break;
            case FrameType.Vote when Vote.Read(body) is { } message:
                message.Write(written);
                Check(Vote.Read(written.WrittenSpan) == message, "a vote reads back");
                break;
            case FrameType.LeaderAnnounce when LeaderAnnounce.Read(body) is { } message:
                message.Write(written);
                Check(LeaderAnnounce.Read(written.WrittenSpan) == message, "an announcement reads back");
                break;
        }
    }

    /// <summary>An entry of a list of peers.</summary>
    public static void Address(ReadOnlySpan<byte> data)
    {
        var text = Encoding.Latin1.GetString(data);
        if (PeerAddress.TryParse(text, out var address, out var problem))
        {
            Check(PeerAddress.TryParse(address!.ToString(), out var again, out _) && again == address, "an address reads back");
        }
        else
        {
            Check(problem!.Contains(text.Trim(), StringComparison.Ordinal), "a bad entry is named");
        }
    }

    private static List<(FrameType Type, long Length, FrameStatus Status)> Read(byte[] octets, int pieceLength, bool isAuthenticated)
    {
        var found = new List<(FrameType Type, long Length, FrameStatus Status)>();
        var (start, end) = (0, 0);
        while (end < octets.Length)
        {
            end = Math.Min(octets.Length, end + pieceLength);
            var input = new ReadOnlySequence<byte>(octets, start, end - start);
            FrameStatus status;
            while ((status = FrameCodec.Read(ref input, isAuthenticated, out var type, out var body)) == FrameStatus.Complete)
            {
                Check(FrameCodec.IsKnown(type) && FrameCodec.IsHandshake(type) != isAuthenticated, "a frame has a type that belongs here");
                Check(body.Length <= (isAuthenticated ? FrameLimits.BodyMax : FrameLimits.HandshakeMax), "a body is bounded");
                found.Add((type, body.Length, status));
            }

            start = end - (int)input.Length;
            if (status != FrameStatus.NeedInput)
            {
                found.Add((default, 0, status));
                break;
            }
        }

        return found;
    }

    private static void Check(bool condition, string promise)
    {
        if (!condition)
        {
            throw new InvalidOperationException(promise);
        }
    }
}
