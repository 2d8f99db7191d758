using System.Diagnostics;
using System.Globalization;

namespace Quorumail.Fuzz;

/// <summary>
/// Gives a target mutated input for <c>QUORUMAIL_FUZZ_SECONDS</c> (2 by default). The seed is printed;
/// <c>QUORUMAIL_FUZZ_SEED</c> replays it.
/// </summary>
internal static class FuzzRun
{
    public static void Of(byte[][] corpus, byte[][] dictionary, Action<byte[]> target, ITestOutputHelper output)
    {
        var seed = Setting("QUORUMAIL_FUZZ_SEED", Environment.TickCount & int.MaxValue);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"seed {seed}"));
        var mutator = new Mutator(seed, corpus, dictionary);
        var clock = Stopwatch.StartNew();
        var seconds = Setting("QUORUMAIL_FUZZ_SECONDS", 2);
        foreach (var good in corpus)
        {
            target(good);
        }

        for (var count = 0; clock.Elapsed.TotalSeconds < seconds; count++)
        {
            var input = mutator.Next();
            try
            {
                target(input);
            }
            catch (Exception failure)
            {
                Assert.Fail(string.Create(CultureInfo.InvariantCulture, $"seed {seed}, input {count}: {failure}\n{Convert.ToBase64String(input)}"));
            }
        }
    }

    private static int Setting(string name, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? value : otherwise;
}
