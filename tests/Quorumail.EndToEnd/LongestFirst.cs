using Xunit.Sdk;
using Xunit.v3;

namespace Quorumail.EndToEnd;

/// <summary>
/// Begins with the classes that take longest, so that none of them is alone at work in the end. What is not named here comes after those,
/// in any order.
/// </summary>
public sealed class LongestFirst : ITestCollectionOrderer
{
    private static readonly string[] Long =
    [
        "ClusterMailTests", "RecoveryTests", "FormationTests", "ClusterTests", "LoadBalancerTests", "Torture.TortureTests", "DrainTests",
        "QueueAdministrationTests", "UpstreamClientTests", "FailoverTests", "RelayTests",
    ];

    /// <inheritdoc/>
    public IReadOnlyCollection<TTestCollection> OrderTestCollections<TTestCollection>(IReadOnlyCollection<TTestCollection> testCollections)
        where TTestCollection : ITestCollection =>
        [.. testCollections.OrderBy(PlaceOf).ThenBy(each => each.TestCollectionDisplayName, StringComparer.Ordinal)];

    private static int PlaceOf<TTestCollection>(TTestCollection collection)
        where TTestCollection : ITestCollection
    {
        var place = Array.FindIndex(Long, name => collection.TestCollectionDisplayName.Contains("." + name + " ", StringComparison.Ordinal));
        return place < 0 ? Long.Length : place;
    }
}
