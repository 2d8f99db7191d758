using System.Globalization;
using System.Text;

namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>How the cluster went through a fault, or some at once.</summary>
internal sealed record FaultReport
{
    /// <summary>The faults' names.</summary>
    public required string Name { get; init; }

    /// <summary>Whether nobody could acknowledge anything meanwhile.</summary>
    public required bool IsStop { get; init; }

    /// <summary>The longest time without an acknowledged write, anywhere, until all was well again.</summary>
    public required TimeSpan Gap { get; init; }

    /// <summary>From the fault to the first write that another node than the old leader acknowledged; null if the leader remained.</summary>
    public required TimeSpan? Takeover { get; init; }

    /// <summary>From the end of the fault until all nodes served and acknowledged writes.</summary>
    public required TimeSpan Recovery { get; init; }

    /// <summary>The term before and after.</summary>
    public required (long Before, long After) Terms { get; init; }

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Name}: term {Terms.Before} -> {Terms.After}, longest gap {Gap.TotalSeconds:0.00} s, {(Takeover is { } takeover ? $"taken over after {takeover.TotalSeconds:0.00} s, " : "")}all serve {Recovery.TotalSeconds:0.00} s after its end");

    /// <summary>Adds to a text how often which fault happened, and the longest of all times.</summary>
    /// <param name="text">Of a torture's end.</param>
    /// <param name="reports">Of its faults.</param>
    /// <param name="what">What clients wait for.</param>
    public static void Sum(StringBuilder text, IReadOnlyCollection<FaultReport> reports, string what)
    {
        text.Append(CultureInfo.InvariantCulture, $"faults: {reports.Count}\n");
        foreach (var kind in reports.SelectMany(report => report.Name.Split(" + ")).CountBy(name => name).OrderBy(kind => kind.Key, StringComparer.Ordinal))
        {
            text.Append(CultureInfo.InvariantCulture, $"  {kind.Key}: {kind.Value}\n");
        }

        Tell($"longest time without a {what} while a fault stops no majority", report => report.IsStop ? null : report.Gap);
        Tell($"longest until another leader's first {what}", report => report.Takeover);
        Tell("longest until all serve after a fault's end", report => report.Recovery);

        void Tell(string name, Func<FaultReport, TimeSpan?> of)
        {
            if (reports.Where(report => of(report) is not null).MaxBy(of) is { } longest)
            {
                text.Append(CultureInfo.InvariantCulture, $"{name}: {of(longest)!.Value.TotalSeconds:0.00} s ({longest.Name})\n");
            }
        }
    }
}
