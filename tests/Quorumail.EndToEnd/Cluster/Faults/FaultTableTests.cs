using System.Text.RegularExpressions;

namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>What is said of the faults and what is done to the cluster are the same.</summary>
public sealed partial class FaultTableTests
{
    [Fact]
    public void The_page_on_reliability_names_every_kind_of_fault_and_no_other()
    {
        var page = File.ReadAllText(Path.Combine(Repository.Root, "docs", "reliability.md"));
        var section = page[page.IndexOf("## Shared state in each fault", StringComparison.Ordinal)..];
        var named = FaultName().Matches(section[..section.IndexOf("\n## ", 5, StringComparison.Ordinal)]).Select(match => match.Groups["name"].Value);

        Assert.Equal(FaultTable.All.Select(fault => fault.Name).Order(StringComparer.Ordinal), named.Order(StringComparer.Ordinal));
    }

    [GeneratedRegex("`(?<name>[a-z0-9]+(-[a-z0-9]+)*)`", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex FaultName();
}
