using System.Buffers;
using System.Globalization;
using Quorumail.Cluster.Raft;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Tests.Transport;

/// <summary>
/// Mutated frames over TCP, before and after the handshake: <c>QUORUMAIL_FRAMES</c> of them (2000 by default); the seed
/// is printed, <c>QUORUMAIL_FUZZ_SEED</c> repeats a run.
/// </summary>
public sealed class HostileFramesTests(ITestOutputHelper output)
{
    private static readonly uint[] Lengths = [0, 1, 7, 8, 100, 1023, 1024, FrameLimits.BodyMax, FrameLimits.BodyMax + 1, int.MaxValue, 1u << 31, uint.MaxValue];

    [Fact]
    public async Task Whatever_is_sent_the_port_stays_of_use()
    {
        var seed = Setting("QUORUMAIL_FUZZ_SEED", Environment.TickCount & int.MaxValue);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"seed {seed}"));
        var random = new Random(seed);
        await using var a = await TransportNode.StartAsync("a");
        await using var b = await TransportNode.StartAsync("b");
        b.Transport.Dial([a.Address]);
        await a.UntilAsync("connected b/0");
        var memory = GC.GetTotalMemory(forceFullCollection: true);

        var frames = Setting("QUORUMAIL_FRAMES", 2000);
        for (var sent = 0; sent < frames;)
        {
            var isOpen = random.Next(4) > 0;
            using var peer = isOpen ? await RawPeer.OpenAsync(a.Transport.EndPoint!, "hostile") : await RawPeer.ConnectAsync(a.Transport.EndPoint!);
            try
            {
                for (var left = random.Next(1, 50); left > 0; left--, sent++)
                {
                    await peer.SendAsync(Frame(random, isOpen));
                }
            }
            catch (System.Net.Sockets.SocketException)
            {
                // It has been cut off, as it should be.
            }
        }

        Assert.Equal("x", await b.AskAsync("a", FrameType.Append, "x"));
        Assert.Equal((1, 0), (a.Count("connected b/0"), a.Count("disconnected b")));
        Assert.True(a.Transport.Counters.Refused(RefusalReason.Malformed) > 0);
        Assert.True(GC.GetTotalMemory(forceFullCollection: true) - memory < 256 << 20, "memory is bounded");
    }

    [Fact]
    public async Task Whatever_a_stranger_says_to_a_cluster_its_leader_and_its_term_stay()
    {
        var seed = Setting("QUORUMAIL_FUZZ_SEED", Environment.TickCount & int.MaxValue);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"seed {seed}"));
        var random = new Random(seed);
        await using var cluster = await ManagedCluster.StartAsync(3, ClusterTimers.Default);
        var leader = await cluster.LeaderAsync();
        var before = (leader.LeaderId, leader.Term);
        var memory = GC.GetTotalMemory(forceFullCollection: true);
        var frames = Setting("QUORUMAIL_FRAMES", 2000);
        for (var sent = 0; sent < frames;)
        {
            using var peer = await RawPeer.OpenAsync(cluster.Managers.Values.ElementAt(random.Next(3)).EndPoint!, "hostile");
            try
            {
                for (var left = random.Next(1, 50); left > 0; left--, sent++)
                {
                    await peer.SendAsync(random.Next(2) == 0 ? Frame(random, isOpen: true) : Message(random, leader.LeaderId!));
                }
            }
            catch (System.Net.Sockets.SocketException)
            {
                // It has been cut off, as it should be.
            }
        }

        await cluster.ReadyAsync();
        Assert.All(cluster.Managers.Values, node => Assert.Equal(before, (node.LeaderId, node.Term)));
        Assert.True(GC.GetTotalMemory(forceFullCollection: true) - memory < 256 << 20, "memory is bounded");
    }

    /// <summary>One of the guide's messages, true to its form and a lie, or nearly true to its form.</summary>
    private static byte[] Message(Random random, string leader)
    {
        var name = random.Next(2) == 0 ? leader : "hostile";
        var term = random.NextInt64(1L << random.Next(1, 62));
        var body = new ArrayBufferWriter<byte>();
        var type = (FrameType)random.Next((int)FrameType.Election, (int)FrameType.LeaderAnnounce + 1);
        switch (type)
        {
            case FrameType.Election:
                new Election(name, term, 0, term, term, random.Next(2) == 0, random.Next(3), random.Next(10)).Write(body);
                break;
            case FrameType.Vote:
                new Vote(name, leader, random.Next(2) == 0, term, random.Next(10), random.Next(3)).Write(body);
                break;
            default:
                new LeaderAnnounce(name, term).Write(body);
                break;
        }

        var octets = body.WrittenSpan.ToArray();
        for (var flips = random.Next(2) * random.Next(4); flips > 0; flips--)
        {
            octets[random.Next(octets.Length)] ^= (byte)(1 << random.Next(8));
        }

        return [(byte)type, 0, 0, (byte)(octets.Length >> 8), (byte)octets.Length, .. octets];
    }

    private static byte[] Frame(Random random, bool isOpen)
    {
        // Mostly of the types that belong here, so that what follows is reached.
        var type = random.Next(10) == 0 ? random.Next(256) : isOpen ? random.Next(1, 6) + (random.Next(2) * random.Next(31, 43)) : random.Next(16, 21);
        var body = new byte[random.Next(200)];
        random.NextBytes(body);
        var length = random.Next(20) == 0 ? Lengths[random.Next(Lengths.Length)] : (uint)body.Length;
        return [(byte)type, (byte)(length >> 24), (byte)(length >> 16), (byte)(length >> 8), (byte)length, .. body];
    }

    private static int Setting(string name, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? value : otherwise;
}
