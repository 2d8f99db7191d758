using Quorumail.EndToEnd.Cluster.Lab;

namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>Where and upon whom a fault happens, and how it is undone.</summary>
internal sealed class FaultScene
{
    private readonly Stack<Func<Task>> _undo = new();

    /// <summary>Draws the followers.</summary>
    public FaultScene(ClusterLab lab, ClientRecord record, int leader, Random random, CancellationToken token)
    {
        Lab = lab;
        Record = record;
        Random = random;
        Token = token;
        Leader = leader;
        int[] followers = [.. Enumerable.Range(0, lab.Nodes.Count).Where(i => i != leader)];
        random.Shuffle(followers);
        Followers = followers;
    }

    /// <summary>The cluster.</summary>
    public ClusterLab Lab { get; }

    /// <summary>Records what clients see.</summary>
    public ClientRecord Record { get; }

    /// <summary>From the run's seed.</summary>
    public Random Random { get; }

    /// <summary>Ends the test.</summary>
    public CancellationToken Token { get; }

    /// <summary>Who led when it began.</summary>
    public int Leader { get; }

    /// <summary>A follower, drawn.</summary>
    public int Follower => Followers[0];

    /// <summary>Another one.</summary>
    public int Other => Followers[1];

    /// <summary>All of them, in the order that was drawn.</summary>
    public IReadOnlyList<int> Followers { get; }

    /// <summary>The node that leads.</summary>
    public LabNode LeaderNode => Lab.Nodes[Leader];

    /// <summary>The follower.</summary>
    public LabNode FollowerNode => Lab.Nodes[Follower];

    /// <summary>Has something done when the fault ends; what was said last is done first.</summary>
    public void Undo(Func<Task> action) => _undo.Push(action);

    /// <summary>As above.</summary>
    public void Undo(Action action) => _undo.Push(() =>
    {
        action();
        return Task.CompletedTask;
    });

    /// <summary>Ends the fault.</summary>
    public async Task EndAsync()
    {
        while (_undo.TryPop(out var action))
        {
            await action();
        }
    }
}
