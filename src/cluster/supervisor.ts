import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensurePki, issueClientCertificate } from '../apiserver/pki.ts';
import { connect } from '../client/client.ts';
import { loadKubeconfig, writeKubeconfig } from '../client/kubeconfig.ts';
import { createLogger, type Logger } from '../component/log.ts';
import { mountTmpfs } from '../kernel/mounts.ts';
import { reapOrphans } from '../kernel/process.ts';
