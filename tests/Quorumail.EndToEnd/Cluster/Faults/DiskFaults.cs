using System.Globalization;
using System.Text;
using Quorumail.EndToEnd.Cluster.Lab;
using Quorumail.EndToEnd.Cluster.State;
using Quorumail.Server.Torture;

namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>Disks that lose power, fill up, are replaced by empty ones or hold what was not written.</summary>
internal static class DiskFaults
{
    /// <summary>The exit code of a node that stops because its disk has failed.</summary>
    public const int DiskFailed = 74;

    /// <summary>The error number of a disk that does not answer as it should: EIO.</summary>
    public const int InputOutputError = 5;

    private const int CannotStart = 1;
    private const int LargeWrites = 80;
    private const int LargeValue = 256 << 10;
    private const long FillerMax = 1L << 30;
    private const long FillerMin = 4 << 10;

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(40);

    private static readonly TimeSpan SlowSync = TimeSpan.FromMilliseconds(500);

    /// <summary>All of them.</summary>
    public static IReadOnlyList<Fault> All { get; } =
    [
        new("power-leader", "the leader's power is cut: what it had not synced is gone", "it is started again on what its disk holds", scene => CutPowerAsync(scene, scene.LeaderNode)) { StopsNode = true, IsVariant = true },
        new("power-follower", "a follower's power is cut", "it is started again on what its disk holds", scene => CutPowerAsync(scene, scene.FollowerNode)) { StopsNode = true, KeepsLeader = true, IsVariant = true },
        new("power-all", "all nodes' power is cut at once", "they are started again on what their disks hold", scene => CutPowerAsync(scene, [.. scene.Lab.Nodes])) { StopsNode = true, StopsAll = true, Lasts = TimeSpan.Zero, LastsMax = TimeSpan.FromSeconds(5) },
        new("full-leader", "the leader's disk is full to the last block", "room is made; if it has stopped, it is started again", scene => FillAsync(scene, scene.LeaderNode)) { StopsNode = true },
        new("full-follower", "a follower's disk is full to the last block", "room is made; if it has stopped, it is started again", scene => FillAsync(scene, scene.FollowerNode)) { StopsNode = true, KeepsLeader = true, IsVariant = true },
        new("wiped-follower", "a follower dies and comes back with an empty disk", "it is taken in anew by itself", scene => WipeAsync(scene, scene.FollowerNode)) { TakesDisk = true, KeepsLeader = true, Lasts = TimeSpan.Zero, LastsMax = TimeSpan.FromSeconds(5) },
        new("wiped-leader", "the leader dies and comes back with an empty disk", "it is taken in anew by itself", scene => WipeAsync(scene, scene.LeaderNode)) { TakesDisk = true, Lasts = TimeSpan.Zero, LastsMax = TimeSpan.FromSeconds(5), IsVariant = true },
        new("replaced-follower", "a follower is removed from the cluster by command", "its disk is emptied and it is started again: it is taken in anew by itself", ReplaceAsync) { TakesDisk = true, KeepsLeader = true, IsVariant = true, Lasts = TimeSpan.Zero, LastsMax = TimeSpan.FromSeconds(5) },
        new("damaged-log", "a byte of a dead follower's log is changed", "it starts on what is whole, or refuses and is given an empty disk", DamageAsync) { StopsNode = true, TakesDisk = true, KeepsLeader = true, Lasts = TimeSpan.Zero, LastsMax = TimeSpan.FromSeconds(1) },
        new("eio-leader", "the leader's disk answers each sync with an input/output error, and has synced nothing", "it has stopped, and what it had not synced is gone; it is started again on a disk that works", scene => FailSyncsAsync(scene, scene.LeaderNode)) { StopsNode = true, IsVariant = true, Obstacle = PreloadedLibrary.Obstacle },
        new("eio-follower", "the same for a follower's disk", "the same", scene => FailSyncsAsync(scene, scene.FollowerNode)) { StopsNode = true, KeepsLeader = true, IsVariant = true, Obstacle = PreloadedLibrary.Obstacle },
        new("slow-fsync", "each sync of the leader's disk takes half a second longer", "the disk is as fast as before", SlowSyncsAsync) { IsVariant = true, Lasts = TimeSpan.FromSeconds(4), Obstacle = PreloadedLibrary.Obstacle },
    ];

    private static async Task FailSyncsAsync(FaultScene scene, LabNode node)
    {
        scene.Undo(node.StartAsync);
        node.Syncs!.Fail(InputOutputError);
        scene.Undo(node.Syncs.End);
        var code = await node.ExitAsync(Limit, scene.Token);
        Assert.True(code == DiskFailed, string.Create(CultureInfo.InvariantCulture, $"{node.Name} could sync nothing and ended with {code}:\n{node.OutputTail}"));
        Assert.Contains($"errno {InputOutputError}", node.OutputTail, StringComparison.Ordinal);
        node.Disk.Cut();
        node.RestorePower();
    }

    private static Task SlowSyncsAsync(FaultScene scene)
    {
        var syncs = scene.LeaderNode.Syncs!;
        scene.Undo(syncs.End);
        syncs.Delay(SlowSync);
        return Task.CompletedTask;
    }

    private static async Task CutPowerAsync(FaultScene scene, params LabNode[] nodes)
    {
        Array.ForEach(nodes, node => node.Disk.Cut());
        await Task.WhenAll(nodes.Select(node => node.KillAsync()));
        Array.ForEach(nodes, node => node.RestorePower());
        scene.Undo(() => Task.WhenAll(nodes.Select(node => node.StartAsync())));
    }

    private static async Task FillAsync(FaultScene scene, LabNode node)
    {
        var prefix = string.Create(CultureInfo.InvariantCulture, $"fill/{scene.Random.Next()}");
        scene.Undo(() => scene.Lab.DeleteAllAsync(prefix, scene.Token));
        var fillers = Directory.CreateDirectory(Path.Combine(node.Disk.Path, "fillers")).FullName;
        scene.Undo(async () =>
        {
            Directory.Delete(fillers, recursive: true);
            if (!node.IsRunning)
            {
                var code = await node.ExitAsync(Limit, scene.Token);
                Assert.True(code == DiskFailed, string.Create(CultureInfo.InvariantCulture, $"{node.Name} ended with {code}:\n{node.OutputTail}"));
                await node.StartAsync();
            }
        });

        Fill(fillers);
        // Files of the log are made in advance, so more is written than fits into those.
        var other = scene.Lab.Nodes[node.Index == scene.Follower ? scene.Other : scene.Follower];
        var acknowledged = await WriteMuchAsync(scene, other, prefix);
        Assert.True(acknowledged > 0, $"Nothing was written while {node.Name}'s disk was full.");
    }

    private static async Task<int> WriteMuchAsync(FaultScene scene, LabNode through, string prefix)
    {
        using var connection = new StateConnection(through.Host, LabNode.HttpPort);
        var value = new byte[LargeValue];
        scene.Random.NextBytes(value);
        var acknowledged = 0;
        for (var i = 0; i < LargeWrites; i++)
        {
            var target = string.Create(CultureInfo.InvariantCulture, $"/api/cluster/state/{prefix}-{i}");
            acknowledged += await connection.AskAsync("PUT", target, value, null, Limit, scene.Token) is { Status: 200 } ? 1 : 0;
        }

        return acknowledged;
    }

    // Blocks are reserved, not written: the file that holds the disk does not grow.
    private static void Fill(string directory)
    {
        var count = 0;
        for (var size = FillerMax; size >= FillerMin;)
        {
            try
            {
                var path = Path.Combine(directory, count++.ToString(CultureInfo.InvariantCulture));
                using var handle = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write, preallocationSize: size);
            }
            catch (IOException)
            {
                size /= 2;
            }
        }
    }

    private static async Task WipeAsync(FaultScene scene, LabNode node)
    {
        await node.KillAsync();
        node.Wipe();
        scene.Undo(node.StartAsync);
    }

    private static async Task ReplaceAsync(FaultScene scene)
    {
        var node = scene.FollowerNode;
        var answer = await scene.LeaderNode.AskAsync("DELETE", "/api/cluster/nodes/" + node.Name, scene.Token, Limit);
        Assert.True(answer is { Status: 200 }, string.Create(CultureInfo.InvariantCulture, $"{node.Name} was not removed: {answer?.Status} {Encoding.UTF8.GetString((answer?.Body ?? default).Span)}"));
        scene.Undo(async () =>
        {
            await node.KillAsync();
            node.Wipe();
            await node.StartAsync();
        });
    }

    private static async Task DamageAsync(FaultScene scene)
    {
        var node = scene.FollowerNode;
        await node.KillAsync();
        ChangeOneByte(scene, node);
        await node.StartAsync();
        scene.Undo(async () =>
        {
            await Deadline.UntilAsync(
                async token => !node.IsRunning || await node.IsReadyAsync(token), Limit, () => $"{node.Name} neither serves nor ends:\n{node.OutputTail}", scene.Token);
            if (!node.IsRunning)
            {
                var code = await node.ExitAsync(Limit, scene.Token);
                Assert.True(code is CannotStart or DiskFailed, string.Create(CultureInfo.InvariantCulture, $"{node.Name} ended with {code} on a damaged log:\n{node.OutputTail}"));
                node.Wipe();
                await node.StartAsync();
            }
        });
    }

    private static void ChangeOneByte(FaultScene scene, LabNode node)
    {
        FileInfo[] files = [.. new DirectoryInfo(node.DataDirectory).GetFiles("*", SearchOption.AllDirectories).Where(file => file is { Length: > 0, Directory.Name: "journal" })];
        using var file = files[scene.Random.Next(files.Length)].Open(FileMode.Open, FileAccess.ReadWrite);
        var bytes = new byte[file.Length];
        file.ReadExactly(bytes);
        var used = bytes.AsSpan().LastIndexOfAnyExcept((byte)0) + 1;
        var at = scene.Random.Next(Math.Max(used, 1));
        file.Position = at;
        file.WriteByte((byte)(bytes[at] ^ 0x40));
    }
}
