using System.Globalization;
using Quorumail.EndToEnd.Crash;

namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>How long a torture lasts and on how many nodes: QUORUMAIL_MINUTES and QUORUMAIL_NODES, see torture.sh; the seed is <see cref="CrashPlan"/>'s.</summary>
internal static class TorturePlan
{
    /// <summary>From the first fault to the last.</summary>
    public static TimeSpan Duration { get; } = TimeSpan.FromMinutes(Read("QUORUMAIL_MINUTES", 1));

    /// <summary>Nodes of the cluster.</summary>
    public static int Nodes { get; } = (int)Read("QUORUMAIL_NODES", 3);

    private static double Read(string name, double otherwise) =>
        double.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out var value) ? value : otherwise;
}
