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
        text.Append(CultureInfo.InvariantCulture, $"elections: {_terms.Count}\n");
        FaultReport.Sum(text, _reports, "acknowledged write");
        return text.ToString();
    }
}
