namespace Quorumail.EndToEnd.Processes;

/// <summary>A directory of one test's own, gone when the test is.</summary>
internal sealed class TemporaryDirectory : IDisposable
{
    private const UnixFileMode Everyone = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    /// <summary>Makes the directory; other accounts may enter it, because Postfix's processes have one of their own.</summary>
    public TemporaryDirectory()
    {
        Path = Directory.CreateTempSubdirectory("quorumail-e2e-").FullName;
        File.SetUnixFileMode(Path, Everyone);
    }

    /// <summary>Its full path.</summary>
    public string Path { get; }

    /// <summary>A path inside.</summary>
    public string this[string name] => System.IO.Path.Combine(Path, name);

    /// <inheritdoc/>
    public void Dispose()
    {
        for (var attempt = 0; ; attempt++)
        {
            try
            {
                Directory.Delete(Path, recursive: true);
                return;
            }
            catch (DirectoryNotFoundException)
            {
                return;
            }
            catch (IOException) when (attempt < 20)
            {
                // A process that was just killed may still have been writing.
            }
        }
    }
}
