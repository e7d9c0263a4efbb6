// What GitHub knows of a repository.
const GITHUB_URL = process.env.TOOL_GITHUB_API_URL!;

export interface PullRequest {
  number: number;
  title: string;
  body: string | null;
  merged_at: string | null;
}

export interface Release {
  tag_name: string;
  published_at: string;
}

const headers = { accept: "application/vnd.github+json" };

export async function latestRelease(repository: string): Promise<Release | undefined> {
  const response = await fetch(`${GITHUB_URL}/repos/${repository}/releases/latest`, { headers });
  if (response.status === 404) {
    return undefined;
  }
  if (!response.ok) {
    throw new Error(`GitHub answered ${response.status} for the latest release`);
  }
  return (await response.json()) as Release;
}

export async function mergedSince(repository: string, since?: string): Promise<PullRequest[]> {
  const query = "state=closed&sort=updated&direction=desc&per_page=100";
  const response = await fetch(`${GITHUB_URL}/repos/${repository}/pulls?${query}`, { headers });
  if (!response.ok) {
    throw new Error(`GitHub answered ${response.status} for pull requests`);
  }
  const pulls = (await response.json()) as PullRequest[];
  return pulls.filter((pull) => pull.merged_at !== null && (since === undefined || pull.merged_at > since));
}
