using System.Globalization;
using Quorumail.EndToEnd.Cluster.Lab;
using Quorumail.EndToEnd.Processes;

namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>Processes that die, stand still or are restarted.</summary>
internal static class ProcessFaults
{
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(30);

    /// <summary>All of them.</summary>
    public static IReadOnlyList<Fault> All { get; } =
    [
        new("kill-leader", "kill -9 of the leader", "it is started again", scene => KillAsync(scene, scene.LeaderNode)),
        new("kill-follower", "kill -9 of a follower", "it is started again", scene => KillAsync(scene, scene.FollowerNode)) { KeepsLeader = true },
        new("kill-all", "kill -9 of all nodes at once", "they are started again", KillAllAsync) { StopsAll = true, Lasts = TimeSpan.Zero, LastsMax = TimeSpan.FromSeconds(5) },
        new("pause-leader", "SIGSTOP of the leader", "SIGCONT", scene => Pause(scene, scene.LeaderNode)) { Lasts = TimeSpan.FromSeconds(5), LastsMax = TimeSpan.FromSeconds(60) },
        new("pause-follower", "SIGSTOP of a follower", "SIGCONT", scene => Pause(scene, scene.FollowerNode)) { KeepsLeader = true, LastsMax = TimeSpan.FromSeconds(60), IsVariant = true },
        new("pause-all", "SIGSTOP of all nodes for some seconds", "SIGCONT", scene => Pause(scene, [.. scene.Lab.Nodes])) { StopsAll = true, LastsMax = TimeSpan.FromSeconds(10), IsVariant = true },
        new("rolling-restart", "SIGTERM of one node after the other, each when the one before serves again", "by itself", RestartAllAsync) { LosesNobody = true, Lasts = TimeSpan.Zero, LastsMax = TimeSpan.FromSeconds(1) },
        new("transfer", "leadership is handed to a follower by command", "by itself", TransferAsync) { LosesNobody = true, Lasts = TimeSpan.Zero, LastsMax = TimeSpan.FromSeconds(1) },
    ];

    private static async Task KillAsync(FaultScene scene, params LabNode[] nodes)
    {
        await Task.WhenAll(nodes.Select(node => node.KillAsync()));
        scene.Undo(() => Task.WhenAll(nodes.Select(node => node.StartAsync())));
    }

    private static Task KillAllAsync(FaultScene scene) => KillAsync(scene, [.. scene.Lab.Nodes]);

    private static Task Pause(FaultScene scene, params LabNode[] nodes)
    {
        Array.ForEach(nodes, node => node.Send(Signal.Stop));
        scene.Undo(() => Array.ForEach(nodes, node => node.Send(Signal.Continue)));
        return Task.CompletedTask;
    }

    private static async Task RestartAllAsync(FaultScene scene)
    {
        foreach (var node in scene.Lab.Nodes)
        {
            var code = await node.TerminateAsync(StopLimit, scene.Token);
            Assert.True(code == 0, string.Create(CultureInfo.InvariantCulture, $"{node.Name} was told to stop and ended with {code}:\n{node.OutputTail}"));
            await node.StartAsync();
            await scene.Lab.UntilServingAsync(ClusterLab.SettleLimit, scene.Token);
        }
    }

    private static async Task TransferAsync(FaultScene scene)
    {
        var answer = await scene.LeaderNode.AskAsync("POST", "/api/cluster/transfer", scene.Token, ClusterLab.SettleLimit);
        Assert.True(answer is { Status: 200 }, $"Leadership was not handed over: {answer?.Status} {System.Text.Encoding.UTF8.GetString((answer?.Body ?? default).Span)}");
    }
}
