using System.Globalization;
using System.Text;
using Quorumail.EndToEnd.Cluster.Lab;
using Quorumail.EndToEnd.Cluster.State;
using Quorumail.Server.Torture;

namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>Wall clocks that jump. Elections and times to live go by monotonic clocks, so nothing must follow from it.</summary>
internal static class ClockFaults
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    /// <summary>All of them.</summary>
    public static IReadOnlyList<Fault> All { get; } =
    [
        Jump("clock-ahead", "the leader's wall clock jumps an hour ahead", scene => scene.LeaderNode, TimeSpan.FromHours(1)),
        Jump("clock-back", "a follower's wall clock jumps an hour back", scene => scene.FollowerNode, TimeSpan.FromHours(-1)) with { IsVariant = true },
    ];

    private static Fault Jump(string name, string does, Func<FaultScene, LabNode> choose, TimeSpan shift) =>
        new(name, does, "it jumps back", scene => JumpAsync(scene, choose(scene), shift)) { LosesNobody = true, KeepsLeader = true, Obstacle = PreloadedLibrary.Obstacle };

    private static async Task JumpAsync(FaultScene scene, LabNode node, TimeSpan shift)
    {
        // A key with a time to live of minutes must outlive an hour that has not passed.
        var path = "/api/cluster/state/clock/" + node.Name;
        var written = await WriteAsync(scene, node, path + "?ttl=10m");
        Assert.True(written is { Status: 200 }, string.Create(CultureInfo.InvariantCulture, $"{node.Name} answers a write with {written?.Status}"));
        node.Clock!.Shift = shift;
        scene.Undo(() => node.Clock.Shift = TimeSpan.Zero);
        HttpAnswer? answer = null;
        await Deadline.UntilAsync(
            async token => (answer = await node.AskAsync("GET", path + "?read=linearizable", token)) is { Status: not 0 }
                && (answer.Date - DateTimeOffset.UtcNow - shift).Duration() < TimeSpan.FromMinutes(1),
            Limit,
            () => string.Create(CultureInfo.InvariantCulture, $"{node.Name} says that it is {answer?.Date}"),
            scene.Token);
        Assert.True(answer!.Status == 200, string.Create(CultureInfo.InvariantCulture, $"A key with 10 minutes to live: {answer.Status} {Encoding.UTF8.GetString(answer.Body.Span)}"));
    }

    private static async Task<HttpAnswer?> WriteAsync(FaultScene scene, LabNode node, string target)
    {
        using var connection = new StateConnection(node.Host, LabNode.HttpPort);
        return await connection.AskAsync("PUT", target, "1"u8.ToArray(), null, Limit, scene.Token);
    }
}
