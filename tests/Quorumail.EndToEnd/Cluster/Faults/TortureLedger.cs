using System.Globalization;
using System.Text;
using Quorumail.EndToEnd.Cluster.State;

namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>The sum of a torture, chapter by chapter.</summary>
internal sealed class TortureLedger
{
    private readonly List<FaultReport> _reports = [];
    private readonly List<StateVerdict> _verdicts = [];
    private readonly HashSet<long> _terms = [];

    /// <summary>Adds what a fault did.</summary>
    public void Add(FaultReport report) => _reports.Add(report);

    /// <summary>Adds what a chapter's ledger says, and the terms that somebody has led so far.</summary>
    public void Add(StateVerdict verdict, IEnumerable<long> terms)
    {
        _verdicts.Add(verdict);
        _terms.UnionWith(terms);
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"writes: {_verdicts.Sum(v => v.Acknowledged)} acknowledged, {_verdicts.Sum(v => v.Refused)} refused, {_verdicts.Sum(v => v.Unknown)} unknown ({_verdicts.Sum(v => v.UnknownButThere)} of them there)\n");
        text.Append(CultureInfo.InvariantCulture, $"fresh reads: {_verdicts.Sum(v => v.Reads)}\n");
        text.Append(CultureInfo.InvariantCulture, $"lost: {_verdicts.Sum(v => v.Lost.Count)}\n");
        text.Append(CultureInfo.InvariantCulture, $"faults: {_reports.Count}\n");
        foreach (var kind in _reports.SelectMany(report => report.Name.Split(" + ")).CountBy(name => name).OrderBy(kind => kind.Key, StringComparer.Ordinal))
        {
            text.Append(CultureInfo.InvariantCulture, $"  {kind.Key}: {kind.Value}\n");
        }

        text.Append(CultureInfo.InvariantCulture, $"elections: {_terms.Count}\n");
        Tell(text, "longest gap in acknowledged writes", report => report.Gap);
        Tell(text, "longest until another leader's first write", report => report.Takeover);
        Tell(text, "longest until all serve after a fault's end", report => report.Recovery);
        return text.ToString();
    }

    private void Tell(StringBuilder text, string what, Func<FaultReport, TimeSpan?> of)
    {
        if (_reports.Where(report => of(report) is not null).MaxBy(of) is { } longest)
        {
            text.Append(CultureInfo.InvariantCulture, $"{what}: {of(longest)!.Value.TotalSeconds:0.00} s ({longest.Name})\n");
        }
    }
}
