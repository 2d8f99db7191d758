using Quorumail.Cluster.Tests.Raft;

// The test runner's own entry point, but for the process that the kill tests start.
if (args is ["propose", string directory, string first])
{
    return await KilledProposer.RunAsync(directory, int.Parse(first, System.Globalization.CultureInfo.InvariantCulture));
}

if (args is ["open-journal", string journal])
{
    return await KilledProposer.OpenJournalAsync(journal);
}

return args.Any(a => a is "--server" or "--internal-msbuild-node")
    ? await Xunit.MicrosoftTestingPlatform.TestPlatformTestFramework.RunAsync(args, Quorumail.Cluster.Tests.SelfRegisteredExtensions.AddSelfRegisteredExtensions)
    : await Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(args);
