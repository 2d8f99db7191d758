namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>Draws the faults of a torture.</summary>
internal static class FaultDraw
{
    // What can happen while the network has trouble as well.
    private static readonly string[] Companions = ["kill-leader", "kill-follower", "pause-leader", "pause-follower", "power-leader", "power-follower"];

    /// <summary>One kind or two that happen at once, and how long they last.</summary>
    public static (IReadOnlyList<Fault> Faults, TimeSpan Lasts) Next(Random random)
    {
        Fault[] possible = [.. (FaultTable.Chosen ?? FaultTable.All).Where(each => each.Obstacle() is null)];
        var first = possible[random.Next(possible.Length)];
        List<Fault> faults = [first];
        if (first is { IsOfNetwork: true, StopsAll: false } && random.Next(4) == 0)
        {
            faults.Add(FaultTable.Of(Companions[random.Next(Companions.Length)]));
        }

        // Mostly short: trouble is at the edges.
        var longest = faults.Min(fault => fault.LastsMax);
        return (faults, first.Lasts + ((longest - first.Lasts) * Math.Pow(random.NextDouble(), 3)));
    }
}
