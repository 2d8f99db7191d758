namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>Every kind of fault that shared state is shown to survive: each once in test.sh, drawn at random in torture.sh.</summary>
internal static class FaultTable
{
    /// <summary>All of them.</summary>
    public static IReadOnlyList<Fault> All { get; } = [.. ProcessFaults.All, .. NetworkFaults.All, .. DiskFaults.All, .. ClockFaults.All];

    /// <summary>Those that QUORUMAIL_FAULTS names, separated by commas; null if it does not, all if it says <c>all</c>.</summary>
    public static IReadOnlyList<Fault>? Chosen => Environment.GetEnvironmentVariable("QUORUMAIL_FAULTS") switch
    {
        null or "" => null,
        "all" => All,
        var names => [.. names.Split(',').Select(Of)],
    };

    /// <summary>The one with a name.</summary>
    public static Fault Of(string name) => All.Single(fault => string.Equals(fault.Name, name, StringComparison.Ordinal));
}
